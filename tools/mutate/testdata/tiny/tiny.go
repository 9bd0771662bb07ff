// Package tiny is the package that the test of mutate changes.
package tiny

import "time"

type flag bool

// Both has operands of a type of its own: its mutants do not compile.
func Both(a, b flag) flag { return a && b }

// Sum adds the numbers below n. Its loop is endless with a negated comparison.
func Sum(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += i
	}
	for n > 1000 {
		n = max(n, 5)
	}
	return sum
}

// Small is checked inside its range, but not at its limit.
func Small(n int) bool {
	return n < 10 &&
		n >= 0
}

// Never is not called.
func Never(d time.Duration) time.Duration {
	d <<= 1
	return d
}

// Spare allocates a capacity that no check can observe.
func Spare(b []byte) []byte {
	out := make([]byte, 0, 4)
	out = append(out, b...)
	return out
}

// Kind names a number.
func Kind(n uint8) string {
	switch {
	case n == 3:
		return "three"
	}
	return ""
}
