package dnsmsg

import (
	"strconv"
)

// name is a name's place in Message.arena.
type name struct {
	at  int32
	len uint8 // 254 at most: the wire form without the root label
}

// Limits of RFC 1035 section 2.3.4 and of a walk through a compressed name.
const (
	maxName     = 255 // bytes of a name's wire form, root label included
	maxPointers = 127 // a name cannot have more labels
)

func (m *Message) wire(n name) []byte { return m.arena[n.at:][:n.len] }

// name reads the name at off, follows its compression pointers (RFC 1035 section 4.1.4) and copies it to the arena. It
// returns the offset after the name. A pointer must point before all bytes of the name that were read: every encoder
// does that, and it excludes loops.
func (m *Message) name(b []byte, off int) (name, int, error) {
	at := len(m.arena)
	lowest, pointers, end := off, 0, -1
	for {
		if off >= len(b) {
			return name{}, 0, errShort
		}
		c := int(b[off])
		switch c & 0xc0 {
		case 0x00:
			if c == 0 {
				if end < 0 {
					end = off + 1
				}
				return name{int32(at), uint8(len(m.arena) - at)}, end, nil
			}
			if off+1+c > len(b) {
				return name{}, 0, errShort
			}
			if len(m.arena)-at+1+c+1 > maxName {
				return name{}, 0, errName
			}
			m.arena = append(m.arena, b[off:off+1+c]...)
			off += 1 + c
		case 0xc0:
			if off+2 > len(b) {
				return name{}, 0, errShort
			}
			if end < 0 {
				end = off + 2
			}
			off = c&0x3f<<8 | int(b[off+1])
			if pointers++; off >= lowest || pointers > maxPointers {
				return name{}, 0, errName
			}
			lowest = off
		default: // extended labels (deprecated by RFC 6891 section 5) and the type that is not assigned
			return name{}, 0, errName
		}
	}
}

// text writes a name in presentation form without the final dot: it escapes a dot and a backslash inside a label with a
// backslash, and the space and bytes outside of printable ASCII as \DDD in decimal. The root is ".".
func text(wire []byte, lower bool) string {
	if len(wire) == 0 {
		return "."
	}
	b := make([]byte, 0, len(wire)+8)
	for len(wire) > 0 {
		label := wire[1 : 1+wire[0]]
		wire = wire[1+len(label):]
		for _, c := range label {
			if lower {
				c = lowerASCII(c)
			}
			switch {
			case c == '.' || c == '\\':
				b = append(b, '\\', c)
			case c <= ' ' || c > '~':
				b = append(b, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
			default:
				b = append(b, c)
			}
		}
		if len(wire) > 0 {
			b = append(b, '.')
		}
	}
	return string(b)
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// TypeName names a record or question type: A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT, SVCB, HTTPS, ANY, and others
// by number (RFC 3597 section 5: TYPE65280).
func TypeName(typ uint16) string {
	for _, t := range typeNames {
		if t.number == typ {
			return t.name
		}
	}
	return "TYPE" + strconv.Itoa(int(typ))
}

// RcodeName names a response code: NOERROR to REFUSED, and others by number (RCODE11).
func RcodeName(rcode uint16) string {
	if int(rcode) < len(rcodeNames) {
		return rcodeNames[rcode]
	}
	return "RCODE" + strconv.Itoa(int(rcode))
}

var (
	typeNames = [...]struct {
		number uint16
		name   string
	}{{TypeA, "A"}, {2, "NS"}, {TypeCNAME, "CNAME"}, {6, "SOA"}, {12, "PTR"}, {15, "MX"}, {16, "TXT"}, {typeAAAA, "AAAA"}, {33, "SRV"},
		{typeOPT, "OPT"}, {64, "SVCB"}, {65, "HTTPS"}, {255, "ANY"}}
	rcodeNames = [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}
)
