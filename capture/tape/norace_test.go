//go:build !race

package tape

// sparse: a test runs one of so many similar cases. Here it runs all.
const sparse = 1
