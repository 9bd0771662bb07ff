// Package tools has tests only: the rules of the architecture (purity_test.go and
// exports_test.go), the shipped tape (shipped_test.go), and the recorder in the network
// lab (lab_linux_test.go, collect_linux_test.go and kernel_*_test.go). The programs that
// build, check and measure the project are in its folders.
package tools
