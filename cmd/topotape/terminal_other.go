//go:build !unix

package main

import "os"

// windowColumns returns the width of the terminal that f is, 0 if it is not
// known.
func windowColumns(*os.File) int { return 0 }

// closedPipe reports whether f is a pipe whose reader has closed it. Without
// poll(2) only a write shows that.
func closedPipe(*os.File) bool { return false }
