package capture

import (
	"fmt"

	"github.com/topotape/topotape/capture/wire"
)

// Kind is the kind of a record. Numbers are never reused; a reader skips and
// counts the kinds that it does not know.
type Kind uint8

// The kinds of records. The comment names the payload: "raw" is bytes as the
// source delivered them, any other name is a payload type.
const (
	KindSource        Kind = 1  // Source
	KindTick          Kind = 2  // Tick
	KindConntrack     Kind = 3  // raw: one nfnetlink message, netlink header included
	KindDumpBegin     Kind = 4  // ConntrackDump
	KindDumpEntry     Kind = 5  // raw: one nfnetlink message of a table dump
	KindDumpEnd       Kind = 6  // ConntrackDump
	KindProcNet       Kind = 7  // ProcNet
	KindWalkBegin     Kind = 8  // ProcWalk
	KindWalkEnd       Kind = 9  // ProcWalk
	KindProcSockets   Kind = 10 // ProcSockets
	KindProcUnchanged Kind = 11 // ProcUnchanged
	KindDNS           Kind = 12 // DNS
	KindReverseName   Kind = 13 // ReverseName
	KindHost          Kind = 14 // Host
	KindGap           Kind = 15 // Gap
	KindClock         Kind = 16 // Clock
	KindMark          Kind = 17 // Mark
	KindWitness       Kind = 18 // Witness
	KindFault         Kind = 19 // Fault
	KindCarry         Kind = 20 // Carry
	KindEnd           Kind = 21 // End
	KindCounters      Kind = 22 // Counters
	KindStall         Kind = 23 // Stall
	KindSocketFormat  Kind = 24 // SocketFormat
	KindSocketEvent   Kind = 25 // raw: one sample of the kernel's perf ring, a socket's change of state
	KindProcessEvent  Kind = 26 // raw: one other record of the ring: comm, fork, exit, namespaces or cgroup
	KindProcesses     Kind = 27 // ProcSockets, without inodes
	KindCgroups       Kind = 28 // Cgroups
	KindSocketTable   Kind = 29 // SocketTable
	KindSocketClose   Kind = 30 // raw: one sock_diag message about a socket that was closed
)

var kindNames = [...]string{
	KindSource:        "source",
	KindTick:          "tick",
	KindConntrack:     "conntrack",
	KindDumpBegin:     "conntrack_dump_begin",
	KindDumpEntry:     "conntrack_dump_entry",
	KindDumpEnd:       "conntrack_dump_end",
	KindProcNet:       "proc_net",
	KindWalkBegin:     "proc_walk_begin",
	KindWalkEnd:       "proc_walk_end",
	KindProcSockets:   "proc_sockets",
	KindProcUnchanged: "proc_unchanged",
	KindDNS:           "dns",
	KindReverseName:   "reverse_name",
	KindHost:          "host",
	KindGap:           "gap",
	KindClock:         "clock",
	KindMark:          "mark",
	KindWitness:       "witness",
	KindFault:         "fault",
	KindCarry:         "carry",
	KindEnd:           "end",
	KindCounters:      "counters",
	KindStall:         "stall",
	KindSocketFormat:  "socket_format",
	KindSocketEvent:   "socket_event",
	KindProcessEvent:  "process_event",
	KindProcesses:     "processes",
	KindCgroups:       "cgroups",
	KindSocketTable:   "socket_table",
	KindSocketClose:   "socket_close",
}

// Known reports whether this version of the package knows the kind.
func (k Kind) Known() bool { return int(k) < len(kindNames) && kindNames[k] != "" }

// String returns the kind's name in scripts, info and errors; "kind 99" if the
// kind is unknown.
func (k Kind) String() string {
	if k.Known() {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Source returns the kind of source that delivers such records, "" if any can.
func (k Kind) Source() string {
	switch k {
	case KindConntrack, KindDumpBegin, KindDumpEntry, KindDumpEnd:
		return SourceConntrack
	case KindProcNet, KindWalkBegin, KindWalkEnd, KindProcSockets, KindProcUnchanged, KindSocketTable:
		return SourceProc
	case KindSocketFormat, KindSocketEvent, KindProcessEvent, KindProcesses, KindCgroups:
		return SourceSockets
	case KindSocketClose:
		return SourceCloses
	case KindDNS:
		return SourceDNS
	case KindReverseName:
		return SourceRDNS
	}
	return ""
}

// Rare reports whether a recording has few records of the kind, so that info
// lists them one by one; it only counts the others.
func (k Kind) Rare() bool {
	switch k {
	case KindSource, KindHost, KindGap, KindMark, KindFault, KindClock, KindEnd, KindStall:
		return true
	}
	return false
}

// Raw reports whether the payload is bytes as the source delivered them, and not
// one of this package's payload types.
func (k Kind) Raw() bool {
	switch k {
	case KindConntrack, KindDumpEntry, KindSocketEvent, KindProcessEvent, KindSocketClose:
		return true
	}
	return false
}

// A Record is one message or fact that a source delivered. Records are in the
// order in which the core processed them.
type Record struct {
	// Seq is the record's number, from 1, strictly increasing along a tape.
	// Transforms keep it. Carry records have no number: 0.
	Seq uint64
	// At is the time since the recording's start, in nanoseconds of
	// CLOCK_BOOTTIME. It never decreases along a tape.
	At int64
	// Kind determines the type of Payload.
	Kind Kind
	// Source is the number of the source that delivered the record; 0 is the
	// recorder itself.
	Source uint32
	// Payload is the message itself for the raw kinds, else the encoded payload
	// type (see AppendPayload). A Reader's payloads are valid until its next
	// call.
	Payload []byte
}

// A Payload is one of this package's payload types; each belongs to one kind,
// ConntrackDump, ProcWalk and ProcSockets to two.
type Payload interface {
	is(Kind) bool
	fields(*wire.Coder)
}

// AppendPayload appends p to b, encoded as the Payload of a record.
func AppendPayload(b []byte, p Payload) []byte {
	return wire.Append(b, p.fields)
}

// Decode reads the payload into p, which must be of the type that belongs to the
// record's kind. Byte slices of p point into Payload. Elements that a newer
// version added are skipped; those that an older version lacks are left zero.
//
// An error names the record. It does not mean that the tape is damaged: the
// payload is as it was written.
func (r *Record) Decode(p Payload) error {
	if !p.is(r.Kind) {
		return fmt.Errorf("record %d (%s): is not a %T", r.Seq, r.Kind, p)
	}
	err := wire.Decode(r.Payload, p.fields)
	if h, isHost := p.(*Host); isHost && err == nil && h.elements() > maxHost {
		err = fmt.Errorf("more than %d interfaces, addresses, networks and settings", maxHost)
	}
	if err != nil {
		return fmt.Errorf("record %d (%s): %w", r.Seq, r.Kind, err)
	}
	return nil
}
