//go:build !race

package main

// sparse is n if tests run every nth of many similar cases. Here they run all.
const sparse = 1
