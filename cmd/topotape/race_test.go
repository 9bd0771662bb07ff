//go:build race

package main

// sparse is of how many alike cases a test takes one: the race detector makes each
// several times as slow.
const sparse = 5
