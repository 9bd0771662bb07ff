//go:build race

package tape

// sparse: a test runs one of so many similar cases. The race detector makes each
// several times as slow, and this package starts no goroutine that could race.
const sparse = 7
