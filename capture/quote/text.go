package quote

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text returns s with a Go escape in place of every character that is not printable,
// and of every byte that is no UTF-8.
func Text[T string | []byte](s T) T {
	for i := range len(s) {
		if s[i]-' ' > '~'-' ' { // it is no printable ASCII
			return T(escape(string(s)))
		}
	}
	return s
}

func escape(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case strconv.IsPrint(r):
			b.WriteString(s[:n])
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}

// Line writes one line: the formatted text as Text returns it, and a newline. A
// newline within the text is escaped like any other control character.
func Line(w io.Writer, format string, args ...any) error {
	_, err := io.WriteString(w, Text(fmt.Sprintf(format, args...))+"\n")
	return err
}
