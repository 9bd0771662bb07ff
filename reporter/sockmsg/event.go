package sockmsg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/topotape/topotape/reporter/procnet"
)

// Flags of an Event: the context in which the state changed (include/linux/trace_events.h).
const (
	FlagHardIRQ = 0x08
	FlagSoftIRQ = 0x10
	FlagNMI     = 0x40
	FlagBHOff   = 0x80 // since Linux 5.19: bottom halves are disabled
)

// Protocols of an Event.
const (
	TCP   = 6
	MPTCP = 262

	protoDCCP = 33
	protoSCTP = 132
)

// An Event is a change of a socket's state.
type Event struct {
	PID, TID uint32
	Time     int64  // ns of CLOCK_MONOTONIC
	Cgroup   uint64 // id of the task's cgroup, 0 if the kernel does not say
	Flags    uint8
	Socket   uint64 // number of the socket
	Old, New procnet.State
	Protocol uint16
	Local    netip.AddrPort // port 0 if the socket has none yet
	Remote   netip.AddrPort
}

// InProcess reports whether the task that had the processor is the one that changed the state, as far as the flags
// show it.
func (e *Event) InProcess() bool {
	return e.Flags&(FlagHardIRQ|FlagSoftIRQ|FlagNMI|FlagBHOff) == 0
}

// Address families.
const (
	inet  = 2
	inet6 = 10
)

// Types of records (include/uapi/linux/perf_event.h).
const (
	typeComm       = 3
	typeExit       = 4
	typeFork       = 7
	typeSample     = 9
	typeNamespaces = 16
	typeCgroup     = 19
)

const (
	headerLen  = 8  // struct perf_event_header
	trailerLen = 16 // pid, tid and time at the end
	miscExec   = 0x2000
)

var (
	errShort  = errors.New("the record is shorter than its length")
	errSample = errors.New("is no sample")
	errLayout = errors.New("the addresses differ: the sample has another layout")
)

func order(bigEndian bool) binary.ByteOrder {
	if bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// begin checks the header and returns the record's type, its misc and what follows the header.
func begin(b []byte, o binary.ByteOrder) (kind uint32, misc uint16, rest []byte, err error) {
	if len(b) < headerLen || int(o.Uint16(b[6:])) != len(b) {
		return 0, 0, nil, errShort
	}
	return o.Uint32(b), o.Uint16(b[4:]), b[headerLen:], nil
}

// Decode reads a sample.
func (f *Format) Decode(e *Event, b []byte, bigEndian bool) error {
	o := order(bigEndian)
	kind, _, b, err := begin(b, o)
	if err != nil {
		return err
	}
	if kind != typeSample {
		return errSample
	}
	if len(b) < 20 {
		return errShort
	}
	*e = Event{PID: o.Uint32(b), TID: o.Uint32(b[4:]), Time: int64(o.Uint64(b[8:]))}
	n := int64(o.Uint32(b[16:]))
	raw := b[20:]
	switch {
	case n > int64(len(raw)):
		return errShort
	case n < int64(f.size):
		return fmt.Errorf("%d bytes of raw data, the format has %d", n, f.size)
	}
	if rest := raw[n:]; len(rest) >= 8 {
		e.Cgroup = o.Uint64(rest)
	}
	return f.decode(e, raw[:n], o)
}

// decode reads the fields of the tracepoint.
func (f *Format) decode(e *Event, raw []byte, o binary.ByteOrder) error {
	number := func(p place) uint64 {
		switch b := raw[p.offset:]; p.size {
		case 1:
			return uint64(b[0])
		case 2:
			return uint64(o.Uint16(b))
		case 4:
			return uint64(o.Uint32(b))
		}
		return o.Uint64(raw[p.offset:])
	}
	e.Flags, e.Socket, e.Protocol = uint8(number(f.flags)), number(f.socket), TCP
	if f.protocol.size > 0 {
		e.Protocol = uint16(number(f.protocol))
	}
	switch e.Protocol {
	case TCP, MPTCP, protoDCCP, protoSCTP:
	default:
		return fmt.Errorf("protocol %d", e.Protocol)
	}
	was, is := number(f.old), number(f.new)
	if was > 0xff || is > 0xff {
		return fmt.Errorf("state changed from %d to %d", was, is)
	}
	e.Old, e.New = procnet.State(was), procnet.State(is)
	bytes := func(p place) []byte { return raw[p.offset : p.offset+p.size] }
	var local, remote netip.Addr
	switch family := number(f.family); family {
	case inet:
		local, _ = netip.AddrFromSlice(bytes(f.saddr))
		remote, _ = netip.AddrFromSlice(bytes(f.daddr))
		// The kernel writes them twice. Where they differ, the layout is another one.
		if !maps(bytes(f.saddr6), local) || !maps(bytes(f.daddr6), remote) {
			return errLayout
		}
	case inet6:
		local, _ = netip.AddrFromSlice(bytes(f.saddr6))
		remote, _ = netip.AddrFromSlice(bytes(f.daddr6))
	default:
		return fmt.Errorf("address family %d", family)
	}
	e.Local = netip.AddrPortFrom(local.Unmap(), uint16(number(f.sport)))
	e.Remote = netip.AddrPortFrom(remote.Unmap(), uint16(number(f.dport)))
	return nil
}

// maps reports whether the 16 bytes are an IPv4 address as IPv6 has it.
func maps(b []byte, a netip.Addr) bool {
	as6, ok := netip.AddrFromSlice(b)
	return ok && as6.Is4In6() && as6.Unmap() == a
}

// Append appends a sample, with its cgroup.
func (e *Event) Append(b []byte, f *Format, bigEndian bool) []byte {
	o := order(bigEndian)
	raw := make([]byte, (f.size+4+7)/8*8-4)
	put := func(p place, v uint64) {
		switch p.size {
		case 1:
			raw[p.offset] = byte(v)
		case 2:
			o.PutUint16(raw[p.offset:], uint16(v))
		case 4:
			o.PutUint32(raw[p.offset:], uint32(v))
		case 8:
			o.PutUint64(raw[p.offset:], v)
		}
	}
	put(f.flags, uint64(e.Flags))
	put(f.socket, e.Socket)
	put(f.old, uint64(e.Old))
	put(f.new, uint64(e.New))
	put(f.protocol, uint64(e.Protocol))
	put(f.sport, uint64(e.Local.Port()))
	put(f.dport, uint64(e.Remote.Port()))
	family := uint64(inet6)
	if e.Local.Addr().Is4() && e.Remote.Addr().Is4() {
		family = inet
	}
	put(f.family, family)
	address := func(p4, p6 place, a netip.Addr) {
		if a.Is4() {
			as4 := a.As4()
			copy(raw[p4.offset:], as4[:])
		}
		as16 := a.As16()
		copy(raw[p6.offset:], as16[:])
	}
	address(f.saddr, f.saddr6, e.Local.Addr())
	address(f.daddr, f.daddr6, e.Remote.Addr())
	b, done := appendHeader(b, typeSample, 0, o)
	b = append32(append32(b, e.PID, o), e.TID, o)
	b = append64(b, uint64(e.Time), o)
	b = append32(b, uint32(len(raw)), o)
	b = append64(append(b, raw...), e.Cgroup, o)
	return done(b)
}

// appendHeader appends a header; done writes the length of the record into it.
func appendHeader(b []byte, kind uint32, misc uint16, o binary.ByteOrder) (out []byte, done func([]byte) []byte) {
	start := len(b)
	b = append32(b, kind, o)
	b = append(b, 0, 0, 0, 0)
	o.PutUint16(b[start+4:], misc)
	return b, func(b []byte) []byte {
		o.PutUint16(b[start+6:], uint16(len(b)-start))
		return b
	}
}

func append32(b []byte, v uint32, o binary.ByteOrder) []byte {
	var a [4]byte
	o.PutUint32(a[:], v)
	return append(b, a[:]...)
}

func append64(b []byte, v uint64, o binary.ByteOrder) []byte {
	var a [8]byte
	o.PutUint64(a[:], v)
	return append(b, a[:]...)
}
