//go:build race

package pack

// Sparse is of how many alike cases a test takes one.
const Sparse = 10
