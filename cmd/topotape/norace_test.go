//go:build !race

package main

// sparse is of how many alike cases a test takes one: all.
const sparse = 1
