//go:build !race

package replaytest

// Sparse is of how many alike cases a test takes one: all.
const Sparse = 1
