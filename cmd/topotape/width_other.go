//go:build !unix

package main

import "os"

// windowColumns is the width of the terminal that f is, 0 if it is none.
func windowColumns(*os.File) int { return 0 }
