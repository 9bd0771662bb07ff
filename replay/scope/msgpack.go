package scope

import (
	"encoding/binary"
	"time"

	"github.com/topotape/topotape/reporter/report"
)

// msgpackEncoder encodes the MessagePack of 2016: strings and bytes are one type,
// raw, and no raw has a length of one byte.
type msgpackEncoder struct{ buf []byte }

func (m *msgpackEncoder) openMap(pairs int)     { m.length(pairs, 0x80, 16, 0xde) }
func (m *msgpackEncoder) openList(elements int) { m.length(elements, 0x90, 16, 0xdc) }
func (m *msgpackEncoder) boolFalse()            { m.buf = append(m.buf, 0xc2) }
func (m *msgpackEncoder) null()                 { m.buf = append(m.buf, 0xc0) }

// length writes the head of a value. A length below short is part of the first byte;
// else the code wide precedes two bytes of length, or wide+1 four.
func (m *msgpackEncoder) length(n int, first byte, short int, wide byte) {
	switch {
	case n < short:
		m.buf = append(m.buf, first|byte(n))
	case n < 1<<16:
		m.buf = binary.BigEndian.AppendUint16(append(m.buf, wide), uint16(n))
	default:
		m.buf = binary.BigEndian.AppendUint32(append(m.buf, wide+1), uint32(n))
	}
}

func (m *msgpackEncoder) number(n uint64) {
	if n < 128 {
		m.buf = append(m.buf, byte(n))
		return
	}
	m.buf = binary.BigEndian.AppendUint64(append(m.buf, 0xcf), n)
}

func (m *msgpackEncoder) text(s string) {
	s = report.ValidText(s)
	m.length(len(s), 0xa0, 32, 0xda)
	m.buf = append(m.buf, s...)
}

// time writes the 15 bytes of time.Time.MarshalBinary as raw.
func (m *msgpackEncoder) time(at int64) {
	b, _ := time.Unix(0, at).UTC().MarshalBinary() // it fails for odd offsets only
	m.length(len(b), 0xa0, 32, 0xda)
	m.buf = append(m.buf, b...)
}
