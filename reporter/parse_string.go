package reporter

import (
	"strconv"
	"unicode/utf8"
)

func (p *parser) string() string {
	p.want(`"`)
	rest := p.text[p.at:]
	for i := 0; i < len(rest) && p.err == nil; i++ {
		switch rest[i] {
		case '"':
			p.at += i + 1
			return p.keep(rest[:i])
		case '\\':
			return p.escaped()
		}
	}
	p.fail("a string without an end")
	return ""
}

// keep makes a string of the bytes, the same one for the same short ones.
func (p *parser) keep(b []byte) string {
	if len(b) > 32 {
		return string(b)
	}
	s, ok := p.seen[string(b)]
	if !ok {
		s = string(b)
		p.seen[s] = s
	}
	return s
}

// escaped reads a string in which something is escaped.
func (p *parser) escaped() string {
	var out []byte
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch c {
		case '"':
			return string(out)
		case '\\':
			r, ok := p.escape()
			if !ok {
				p.fail("an unknown escape")
				return ""
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	p.fail("a string without an end")
	return ""
}

// escape reads what follows a backslash.
func (p *parser) escape() (rune, bool) {
	rest := p.text[p.at:]
	if len(rest) == 0 {
		return 0, false
	}
	p.at++
	switch c := rest[0]; c {
	case '"', '\\':
		return rune(c), true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		if len(rest) < 5 {
			return 0, false
		}
		n, err := strconv.ParseUint(string(rest[1:5]), 16, 8)
		p.at += 4
		return rune(n), err == nil
	}
	return 0, false
}
