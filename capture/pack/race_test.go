//go:build race

package pack_test

// sparse is of how many alike cases a test takes one.
const sparse = 10
