package netlab

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"time"
)

// request is one line from the lab to a worker. The reply has the same ID; replies come in
// any order.
type request struct {
	ID      int           `json:"id"`
	Op      string        `json:"op"`               // listen, dial, release, collect
	Listen  []string      `json:"listen,omitempty"` // listen: addresses; "[::]" is dual-stack
	Prefork bool          `json:"prefork,omitempty"`
	Targets []target      `json:"targets,omitempty"`
	Sources []netip.Addr  `json:"sources,omitempty"` // dial: source addresses, used in turn
	Ports   []uint16      `json:"ports,omitempty"`   // dial: source port of each
	DNS     string        `json:"dns,omitempty"`
	Count   int           `json:"count,omitempty"`
	Over    time.Duration `json:"over,omitempty"`
	Until   time.Duration `json:"until,omitempty"` // dial: do not start connections after this time; 0: no limit
	Hold    time.Duration `json:"hold,omitempty"`  // WholePlan: until a release of the same group
	Timeout time.Duration `json:"timeout,omitempty"`
	Group   int           `json:"group,omitempty"`
	Bytes   int           `json:"bytes,omitempty"`
	Close   string        `json:"close,omitempty"`
	Client  string        `json:"client,omitempty"` // dial: as in a Pattern
	Enter   []string      `json:"enter,omitempty"`  // dial: namespaces for Setns, used in turn
	Stack   bool          `json:"stack,omitempty"`  // dial: by a stack in the worker
	Workers int           `json:"workers,omitempty"`
	Quiet   bool          `json:"quiet,omitempty"` // dial: count and time only, without truth
}

type reply struct {
	ID       int             `json:"id"`
	Err      string          `json:"err,omitempty"`
	Dialed   []dialed        `json:"dialed,omitempty"`
	Accepted []accepted      `json:"accepted,omitempty"`
	Took     []time.Duration `json:"took,omitempty"`   // Quiet: the duration of each successful connect
	Failed   int             `json:"failed,omitempty"` // Quiet
	FirstErr string          `json:"first_err,omitempty"`
	Elapsed  time.Duration   `json:"elapsed,omitempty"`
}

// dialed is a connection as the client saw it.
type dialed struct {
	ID     connID         `json:"id"`
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`
	Name   string         `json:"name,omitempty"`
	Chain  []string       `json:"chain,omitempty"`
	Opened time.Time      `json:"opened"`
	Closed time.Time      `json:"closed,omitzero"`
	Took   time.Duration  `json:"took,omitempty"` // of connect
	Up     bool           `json:"up,omitempty"`   // connect succeeded
	Query  bool           `json:"query,omitempty"`
	Err    string         `json:"err,omitempty"`

	process          // that connected, zero for the worker itself
	Closer  *process `json:"closer,omitempty"` // that closed, if it is another one
}

// accepted is a connection as the server saw it.
type accepted struct {
	ID     connID         `json:"id"`
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`

	process // that accepted, zero for the worker itself
}

// connID identifies a connection at both ends.
type connID [16]byte

func (id connID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

func (id *connID) UnmarshalText(b []byte) error {
	_, err := hex.Decode(id[:], b)
	return err
}

// greeting is the first message of a client:
//
//	0        16       20      21      24
//	├─ id ───┼─ size ─┼ flags ┼─ 0 ───┤  size bytes of payload
//
// The server answers with id and payload, in that order.
type greeting struct {
	id    connID
	size  uint32
	flags byte
}

const (
	greetingSize = 24
	flagsAt      = 20 // offset of the flags
	maxPayload   = 16 << 20

	flagQuiet       = 1 // without truth
	flagServerClose = 2 // the server closes after its answer
)

func (g greeting) append(b []byte) []byte {
	b = append(b, g.id[:]...)
	b = binary.BigEndian.AppendUint32(b, g.size)
	return append(b, g.flags, 0, 0, 0)
}

func parseGreeting(b *[greetingSize]byte) greeting {
	return greeting{connID(b[:16]), binary.BigEndian.Uint32(b[16:20]), b[flagsAt]}
}
