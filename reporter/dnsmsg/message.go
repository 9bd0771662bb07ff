package dnsmsg

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// The errors of Message.Decode.
var (
	// errShort: the message ends before the questions and records that its header counts.
	errShort = errors.New("dnsmsg: message ends early")
	// errName: a name is too long, or has a reserved label type or a compression pointer that does not point backwards.
	errName = errors.New("dnsmsg: malformed name")
	// errData: the data of an A, AAAA or CNAME record has a wrong length.
	errData = errors.New("dnsmsg: malformed record data")
	// errLong: the message is longer than 65,535 bytes, the limit of all transports.
	errLong = errors.New("dnsmsg: message too long")
)

// Resource record types (RFC 1035 section 3.2.2, RFC 3596, RFC 6891) and the class IN.
const (
	TypeA     uint16 = 1
	TypeCNAME uint16 = 5
	typeAAAA  uint16 = 28
	typeOPT   uint16 = 41

	ClassIN uint16 = 1
)

// section is a section of records in a message.
type section uint8

const (
	sectionAnswer section = iota
	sectionAuthority
	sectionAdditional
)

// header is the header of RFC 1035 section 4.1.1.
type header struct {
	ID       uint16
	Response bool // QR
	Opcode   uint8
	// Authoritative, Truncated, RecursionDesired and RecursionAvailable are the bits AA, TC, RD and RA.
	Authoritative, Truncated, RecursionDesired, RecursionAvailable bool
	// Rcode includes the upper eight bits from an OPT record (RFC 6891 section 6.1.3).
	Rcode uint16
}

// Question is one entry of the question section.
type Question struct {
	Type, Class uint16

	name name
}

// Record is an A, AAAA or CNAME record of class IN of the answer or the additional section.
type Record struct {
	Type uint16
	TTL  uint32     // seconds
	Addr netip.Addr // of an A or AAAA record; IPv4-mapped addresses are unmapped

	owner  name
	target name // of a CNAME record
}

// Message is a decoded DNS message. It can be reused for any number of messages and then rarely allocates.
type Message struct {
	header
	Questions []Question
	Records   []Record // of the answer section, then of the additional section

	arena []byte // the bytes of names: uncompressed wire form without the root label, case as sent
	work  work   // of Answers
}

// maxKept bounds the memory for names that a Message keeps from one use to the next. A hostile message can need 2 MB.
const maxKept = 64 << 10

// Decode reads one message. It ignores bytes after the message; a message cut short is an error. It skips the authority
// section, and all records other than A, AAAA and CNAME of class IN. It accepts any header and any rcode. After an error m
// is an empty Message.
func (m *Message) Decode(b []byte) error {
	m.reset()
	if err := m.decode(b); err != nil {
		m.reset()
		return err
	}
	return nil
}

// DecodeCut reads a message whose end may be missing, up to its last whole record. It is an error if what is there is
// malformed, and then m is an empty Message.
func (m *Message) DecodeCut(b []byte) error {
	m.reset()
	err := m.decode(b)
	if err == errShort {
		return nil
	}
	if err != nil {
		m.reset()
	}
	return err
}

func (m *Message) reset() {
	m.header = header{}
	m.Questions, m.Records, m.arena = m.Questions[:0], m.Records[:0], m.arena[:0]
	if cap(m.arena) > maxKept {
		m.Questions, m.Records, m.arena, m.work = nil, nil, nil, work{}
	}
}

func (m *Message) decode(b []byte) error {
	const headerLen = 12
	if len(b) > 0xffff {
		return errLong
	}
	if len(b) < headerLen {
		return errShort
	}
	bits := binary.BigEndian.Uint16(b[2:])
	m.header = header{
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
		if off, err = m.record(b, off, sectionAnswer); err != nil {
			return err
		}
	}
	for n := binary.BigEndian.Uint16(b[8:]); n > 0; n-- {
		if off, err = m.record(b, off, sectionAuthority); err != nil {
			return err
		}
	}
	for n := binary.BigEndian.Uint16(b[10:]); n > 0; n-- {
		if off, err = m.record(b, off, sectionAdditional); err != nil {
			return err
		}
	}
	return nil
}

func (m *Message) question(b []byte, off int) (int, error) {
	n, off, err := m.name(b, off)
	if err != nil {
		return 0, err
	}
	if len(b)-off < 4 {
		return 0, errShort
	}
	m.Questions = append(m.Questions, Question{
		Type: binary.BigEndian.Uint16(b[off:]), Class: binary.BigEndian.Uint16(b[off+2:]), name: n})
	return off + 4, nil
}

// record reads one record and returns the offset of the next one.
func (m *Message) record(b []byte, off int, in section) (int, error) {
	const fixed = 10 // type, class, TTL, length of the data
	arena := len(m.arena)
	owner, off, err := m.name(b, off)
	if err != nil {
		return 0, err
	}
	if len(b)-off < fixed {
		return 0, errShort
	}
	typ, class, ttl := binary.BigEndian.Uint16(b[off:]), binary.BigEndian.Uint16(b[off+2:]), binary.BigEndian.Uint32(b[off+4:])
	length := int(binary.BigEndian.Uint16(b[off+8:]))
	off += fixed
	if len(b)-off < length {
		return 0, errShort
	}
	data := b[off : off+length]
	if typ == typeOPT && in == sectionAdditional {
		m.Rcode = m.Rcode&0xf | uint16(ttl>>24)<<4
	}
	if class != ClassIN || in == sectionAuthority {
		m.arena = m.arena[:arena]
		return off + length, nil
	}
	if ttl > 1<<31-1 { // RFC 2181 section 8
		ttl = 0
	}
	r := Record{Type: typ, TTL: ttl, owner: owner}
	switch typ {
	case TypeA:
		if length != 4 {
			return 0, errData
		}
		r.Addr = netip.AddrFrom4([4]byte(data))
	case typeAAAA:
		if length != 16 {
			return 0, errData
		}
		r.Addr = netip.AddrFrom16([16]byte(data)).Unmap()
	case TypeCNAME:
		var end int
		if r.target, end, err = m.name(b[:off+length], off); err != nil {
			return 0, err
		}
		if end != off+length {
			return 0, errData
		}
	default:
		m.arena = m.arena[:arena]
		return off + length, nil
	}
	m.Records = append(m.Records, r)
	return off + length, nil
}

// QuestionName returns the name of a question in presentation form without the final dot, with upper and lower case as
// sent. Equal names have equal texts.
func (m *Message) QuestionName(q Question) string { return text(m.wire(q.name), false) }

// Owner returns the name of a record, with upper and lower case as sent.
func (m *Message) Owner(r Record) string { return text(m.wire(r.owner), false) }

// Target returns the name that a CNAME record leads to, as sent; "" for other records.
func (m *Message) Target(r Record) string {
	if r.Type != TypeCNAME {
		return ""
	}
	return text(m.wire(r.target), false)
}
