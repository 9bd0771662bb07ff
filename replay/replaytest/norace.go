//go:build !race

package replaytest

// OneIn is the share of similar cases that a test runs: one of so many.
const OneIn = 1
