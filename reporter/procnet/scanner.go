package procnet

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Scanner reads the rows of one table, or of a part of a table that was cut between lines. It reads the text in place and
// does not allocate.
type Scanner struct {
	rest      []byte
	bigEndian bool
	malformed int
}

// NewScanner returns a Scanner for the text of /proc/net/tcp, tcp6, udp or udp6. bigEndian is the byte order of the host
// whose kernel wrote it. The header line and the last newline may be missing. The Scanner refers to text until the last
// row is read.
func NewScanner(text []byte, bigEndian bool) Scanner {
	return Scanner{rest: text, bigEndian: bigEndian}
}

// Next reads the next well-formed row into r and reports whether there was one. It skips all other lines, and counts them
// as malformed unless they are empty or headers (their first word is "sl"). If there is no row, r is undefined.
func (s *Scanner) Next(r *Row) bool {
	for len(s.rest) > 0 {
		var line []byte
		if i := bytes.IndexByte(s.rest, '\n'); i >= 0 {
			line, s.rest = s.rest[:i], s.rest[i+1:]
		} else {
			line, s.rest = s.rest, nil
		}
		if r.parse(line, s.bigEndian) {
			return true
		}
		if first, _ := word(line); len(first) > 0 && string(first) != "sl" {
			s.malformed++
		}
	}
	return false
}

// Malformed returns the number of malformed lines that Next has skipped.
func (s *Scanner) Malformed() int { return s.malformed }

// word cuts off the first word of a line. The space and all characters below it separate words.
func word(line []byte) (first, rest []byte) {
	i := 0
	for i < len(line) && line[i] <= ' ' {
		i++
	}
	line = line[i:]
	i = 0
	for i < len(line) && line[i] > ' ' {
		i++
	}
	return line[:i], line[i:]
}

func (r *Row) parse(line []byte, big bool) bool {
	number, rest := word(line)
	if len(number) < 2 || number[len(number)-1] != ':' {
		return false
	}
	if _, ok := decimal(number[:len(number)-1]); !ok {
		return false
	}
	var field []byte
	var ok bool
	field, rest = word(rest)
	if r.Local, ok = addrPort(field, big); !ok {
		return false
	}
	field, rest = word(rest)
	if r.Remote, ok = addrPort(field, big); !ok {
		return false
	}
	field, rest = word(rest)
	state, ok := hex(field, 2)
	if !ok || len(field) != 2 {
		return false
	}
	r.State = State(state)
	_, rest = word(rest) // tx_queue:rx_queue
	_, rest = word(rest) // tr:tm->when
	_, rest = word(rest) // retrnsmt
	field, rest = word(rest)
	uid, ok := decimal(field)
	if !ok || uid > 1<<32-1 {
		return false
	}
	r.UID = uint32(uid)
	_, rest = word(rest) // timeout
	field, _ = word(rest)
	r.Inode, ok = decimal(field)
	return ok
}

// addrPort reads an address in groups of eight hexadecimal digits, each a 32-bit number in the host's byte order, a
// colon, and the port as a plain number.
func addrPort(b []byte, big bool) (netip.AddrPort, bool) {
	var a [16]byte
	switch len(b) {
	case 8 + 5, 32 + 5:
	default:
		return netip.AddrPort{}, false
	}
	digits := len(b) - 5
	for i := 0; i < digits; i += 8 {
		v, ok := hex(b[i:], 8)
		if !ok {
			return netip.AddrPort{}, false
		}
		if !big {
			v = bits.ReverseBytes32(v)
		}
		binary.BigEndian.PutUint32(a[i/2:], v)
	}
	port, ok := hex(b[digits+1:], 4)
	if !ok || b[digits] != ':' {
		return netip.AddrPort{}, false
	}
	if digits == 8 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[:4])), uint16(port)), true
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a).Unmap(), uint16(port)), true
}

// hex reads the first n digits of b; n is 8 at most. ok is false if b is shorter.
func hex(b []byte, n int) (v uint32, ok bool) {
	if len(b) < n {
		return 0, false
	}
	var bad byte
	for _, c := range b[:n] {
		d := hexDigits[c]
		bad |= d
		v = v<<4 | uint32(d&0xf)
	}
	return v, bad&notHex == 0
}

const notHex = 0x80

var hexDigits = func() (t [256]byte) {
	for i := range t {
		switch c := byte(i); {
		case '0' <= c && c <= '9':
			t[i] = c - '0'
		case 'a' <= c && c <= 'f':
			t[i] = c - 'a' + 10
		case 'A' <= c && c <= 'F':
			t[i] = c - 'A' + 10
		default:
			t[i] = notHex
		}
	}
	return t
}()

// decimal reads a number of up to 64 bits.
func decimal(b []byte) (v uint64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || v > (1<<64-1-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}
