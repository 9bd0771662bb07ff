// Package tiny is changed by the test of the tool.
package tiny

import "time"

type flag bool

// Both has operands of a type that no switch fits: its changes do not compile.
func Both(a, b flag) flag { return a && b }

// Sum adds the numbers below n; its comparison, turned round, never ends.
func Sum(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += i
	}
	for n > 1000 {
		n = max(n, 5)
	}
	return sum
}

// Small is checked well inside its range, and not at its edge.
func Small(n int) bool {
	return n < 10 &&
		n >= 0
}

// Never is not called.
func Never(d time.Duration) time.Duration {
	d <<= 1
	return d
}

// Spare keeps what it need not: no check can tell.
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
