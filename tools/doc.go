// Package tools holds what builds, checks and measures the project. The
// package itself has tests only: the rules of the architecture.
package tools
