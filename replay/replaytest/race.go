//go:build race

package replaytest

// OneIn is the share of similar cases that a test runs: one of so many. The race
// detector makes each case several times as slow.
const OneIn = 5
