//go:build race

package main

// sparse is n if tests run every nth of many similar cases: the race detector makes
// each several times slower.
const sparse = 5
