//go:build race

package capture

// sparse is of how many alike cases a test takes one: the race detector makes each
// several times as slow, and this package starts nothing that could race.
const sparse = 7
