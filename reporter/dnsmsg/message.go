package dnsmsg

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// What Message.Decode may return.
var (
	// ErrShort says that the message ends before what its header promises does.
	ErrShort = errors.New("dnsmsg: message ends early")
	// ErrName says that a name is too long, has a reserved label type, or a compression pointer that does not point
	// backwards.
	ErrName = errors.New("dnsmsg: malformed name")
	// ErrData says that the length of an A, AAAA or CNAME record's data is wrong.
	ErrData = errors.New("dnsmsg: malformed record data")
	// ErrLong says that the message is longer than 65,535 bytes, which no transport carries.
	ErrLong = errors.New("dnsmsg: message too long")
)

// Resource record types (RFC 1035 section 3.2.2, RFC 3596, RFC 6891) and the class IN.
const (
	TypeA     uint16 = 1
	TypeCNAME uint16 = 5
	TypeAAAA  uint16 = 28
	TypeOPT   uint16 = 41

	ClassIN uint16 = 1
)

// Section is where in the message a record stands.
type Section uint8

// The sections that records are kept of.
const (
	SectionAnswer Section = iota
	SectionAdditional
)

// Header is the header of RFC 1035 section 4.1.1.
type Header struct {
	ID       uint16
	Response bool // QR
	Opcode   uint8
	// Authoritative, Truncated, RecursionDesired and RecursionAvailable are the bits AA, TC, RD and RA.
	Authoritative, Truncated, RecursionDesired, RecursionAvailable bool
	// Rcode includes the upper eight bits that an OPT record holds (RFC 6891 section 6.1.3).
	Rcode uint16
}

// Question is one entry of the question section.
type Question struct {
	Type, Class uint16

	name name
}

// Record is an A, AAAA or CNAME record of class IN of the answer or the additional section.
type Record struct {
	Section Section
	Type    uint16
	TTL     uint32     // seconds
	Addr    netip.Addr // of an A or AAAA record; IPv4-mapped addresses are unmapped

	owner  name
	target name // of a CNAME record
}

// Message is a decoded DNS message. It can be reused for any number of messages and then rarely allocates.
type Message struct {
	Header
	Questions []Question
	Records   []Record // those of the answer section first, in the order of the message

	arena []byte // what names point into: uncompressed wire form without the root label, case as sent
	work  work   // of Answers
}

// maxKept is how much of the memory for names a Message keeps from one use to the next. A hostile message can need
// 2 MB of it.
const maxKept = 64 << 10

// Decode reads one whole message: bytes that follow it are ignored, a message cut short is an error. Records other than
// A, AAAA and CNAME of class IN, and the authority section, are skipped by their length. Decode takes any header and
// any rcode. After an error m is an empty Message.
func (m *Message) Decode(b []byte) error {
	m.reset()
	if err := m.decode(b); err != nil {
		m.reset()
		return err
	}
	return nil
}

func (m *Message) reset() {
	m.Header = Header{}
	m.Questions, m.Records, m.arena = m.Questions[:0], m.Records[:0], m.arena[:0]
	if cap(m.arena) > maxKept {
		m.Questions, m.Records, m.arena, m.work = nil, nil, nil, work{}
	}
}

func (m *Message) decode(b []byte) error {
	const headerLen = 12
	if len(b) > 0xffff {
		return ErrLong
	}
	if len(b) < headerLen {
		return ErrShort
	}
	bits := binary.BigEndian.Uint16(b[2:])
	m.Header = Header{
		ID:                 binary.BigEndian.Uint16(b),
		Response:           bits&0x8000 != 0,
		Opcode:             uint8(bits >> 11 & 0xf),
		Authoritative:      bits&0x0400 != 0,
		Truncated:          bits&0x0200 != 0,
		RecursionDesired:   bits&0x0100 != 0,
		RecursionAvailable: bits&0x0080 != 0,
		Rcode:              bits & 0xf,
	}
	off := headerLen
	var err error
	for n := binary.BigEndian.Uint16(b[4:]); n > 0; n-- {
		if off, err = m.question(b, off); err != nil {
			return err
		}
	}
	for n := binary.BigEndian.Uint16(b[6:]); n > 0; n-- {
		if off, err = m.record(b, off, SectionAnswer); err != nil {
			return err
		}
	}
	for n := binary.BigEndian.Uint16(b[8:]); n > 0; n-- {
		if off, err = m.record(b, off, sectionAuthority); err != nil {
			return err
		}
	}
	for n := binary.BigEndian.Uint16(b[10:]); n > 0; n-- {
		if off, err = m.record(b, off, SectionAdditional); err != nil {
			return err
		}
	}
	return nil
}

const sectionAuthority = SectionAdditional + 1

func (m *Message) question(b []byte, off int) (int, error) {
	n, off, err := m.name(b, off)
	if err != nil {
		return 0, err
	}
	if len(b)-off < 4 {
		return 0, ErrShort
	}
	m.Questions = append(m.Questions, Question{
		Type: binary.BigEndian.Uint16(b[off:]), Class: binary.BigEndian.Uint16(b[off+2:]), name: n})
	return off + 4, nil
}

// record reads one record and returns the offset behind it.
func (m *Message) record(b []byte, off int, section Section) (int, error) {
	const fixed = 10 // type, class, TTL, length of the data
	kept := len(m.arena)
	owner, off, err := m.name(b, off)
	if err != nil {
		return 0, err
	}
	if len(b)-off < fixed {
		return 0, ErrShort
	}
	typ, class, ttl := binary.BigEndian.Uint16(b[off:]), binary.BigEndian.Uint16(b[off+2:]), binary.BigEndian.Uint32(b[off+4:])
	length := int(binary.BigEndian.Uint16(b[off+8:]))
	off += fixed
	if len(b)-off < length {
		return 0, ErrShort
	}
	data := b[off : off+length]
	if typ == TypeOPT && section == SectionAdditional {
		m.Rcode = m.Rcode&0xf | uint16(ttl>>24)<<4
	}
	if class != ClassIN || section == sectionAuthority {
		m.arena = m.arena[:kept]
		return off + length, nil
	}
	if ttl > 1<<31-1 { // RFC 2181 section 8
		ttl = 0
	}
	r := Record{Section: section, Type: typ, TTL: ttl, owner: owner}
	switch typ {
	case TypeA:
		if length != 4 {
			return 0, ErrData
		}
		r.Addr = netip.AddrFrom4([4]byte(data))
	case TypeAAAA:
		if length != 16 {
			return 0, ErrData
		}
		r.Addr = netip.AddrFrom16([16]byte(data)).Unmap()
	case TypeCNAME:
		var end int
		if r.target, end, err = m.name(b[:off+length], off); err != nil {
			return 0, err
		}
		if end != off+length {
			return 0, ErrData
		}
	default:
		m.arena = m.arena[:kept]
		return off + length, nil
	}
	m.Records = append(m.Records, r)
	return off + length, nil
}

// QuestionName is the name that was asked for in presentation form without the final dot, as sent: with its upper and
// lower case. Equal names have equal texts.
func (m *Message) QuestionName(q Question) string { return text(m.wire(q.name), false) }

// Owner is the name that a record belongs to, as sent.
func (m *Message) Owner(r Record) string { return text(m.wire(r.owner), false) }

// Target is the name that a CNAME record points to, as sent; of other records it is "".
func (m *Message) Target(r Record) string {
	if r.Type != TypeCNAME {
		return ""
	}
	return text(m.wire(r.target), false)
}
