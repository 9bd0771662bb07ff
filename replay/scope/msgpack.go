package scope

import (
	"encoding/binary"
	"time"

	"github.com/topotape/topotape/reporter"
)

// scopeMsgpack encodes what scopeWriter writes in the MessagePack of 2016:
// strings and bytes are one type, raw, of which there is none with a length of
// one byte. Today's decoders read it too.
type scopeMsgpack struct{ buf []byte }

func (m *scopeMsgpack) openMap(pairs int)     { m.length(pairs, 0x80, 16, 0xde) }
func (m *scopeMsgpack) openList(elements int) { m.length(elements, 0x90, 16, 0xdc) }
func (m *scopeMsgpack) no()                   { m.buf = append(m.buf, 0xc2) }
func (m *scopeMsgpack) null()                 { m.buf = append(m.buf, 0xc0) }

// length writes the head of a value: in its first byte when it is short, else
// in two or four bytes behind the code wide or the next one.
func (m *scopeMsgpack) length(n int, first byte, short int, wide byte) {
	switch {
	case n < short:
		m.buf = append(m.buf, first|byte(n))
	case n < 1<<16:
		m.buf = binary.BigEndian.AppendUint16(append(m.buf, wide), uint16(n))
	default:
		m.buf = binary.BigEndian.AppendUint32(append(m.buf, wide+1), uint32(n))
	}
}

func (m *scopeMsgpack) number(n uint64) {
	if n < 128 {
		m.buf = append(m.buf, byte(n))
		return
	}
	m.buf = binary.BigEndian.AppendUint64(append(m.buf, 0xcf), n)
}

func (m *scopeMsgpack) text(s string) {
	s = reporter.ValidText(s)
	m.length(len(s), 0xa0, 32, 0xda)
	m.buf = append(m.buf, s...)
}

// moment is what time.Time.MarshalBinary gives, as raw: 15 bytes.
func (m *scopeMsgpack) moment(at int64) {
	b, _ := time.Unix(0, at).UTC().MarshalBinary() // UTC has no offset that could fail
	m.length(len(b), 0xa0, 32, 0xda)
	m.buf = append(m.buf, b...)
}
