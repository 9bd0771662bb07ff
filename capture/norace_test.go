//go:build !race

package capture

// sparse is of how many alike cases a test takes one: all.
const sparse = 1
