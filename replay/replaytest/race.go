//go:build race

package replaytest

// Sparse is of how many alike cases a test takes one: the race detector makes each
// several times as slow.
const Sparse = 5
