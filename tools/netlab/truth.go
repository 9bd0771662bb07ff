package netlab

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"
)

// Conn is one connection that a client made or tried to make.
type Conn struct {
	Pattern string   `json:"pattern"`         // the Kind that made it
	Family  string   `json:"family"`          // "ip4" or "ip6"
	Name    string   `json:"name,omitempty"`  // the name that was looked up for Client.Remote's address
	Chain   []string `json:"chain,omitempty"` // the CNAME targets between Name and the address, in order
	Client  endpoint `json:"client"`
	Server  endpoint `json:"server"` // zero unless Established

	Opened      time.Time `json:"opened"`          // CLOCK_REALTIME when connect returned to the client
	Closed      time.Time `json:"closed,omitzero"` // when the client closed; zero while it is open
	Established bool      `json:"established"`     // false: refused or never answered
}

// endpoint is one end of a connection, as its process sees it.
type endpoint struct {
	Netns  uint64         `json:"netns"`  // inode of the network namespace
	Local  netip.AddrPort `json:"local"`  // from getsockname; IPv4 is never mapped
	Remote netip.AddrPort `json:"remote"` // from getpeername
	process
	Cgroup string    `json:"cgroup,omitempty"` // path of the process in the hierarchy of cgroup v2
	Others []process `json:"others,omitempty"` // further processes that had the socket, or that listened for it
}

// process is a process of the host. An end that no process has, has a zero process.
type process struct {
	PID  int    `json:"pid"` // in the host's PID namespace; 0 if unknown
	Comm string `json:"comm"`
}

// openBetween reports whether the connection was open at some time in [from, to). A zero
// time is no bound.
func (c Conn) openBetween(from, to time.Time) bool {
	if !to.IsZero() && !c.Opened.Before(to) {
		return false
	}
	return from.IsZero() || c.Closed.IsZero() || c.Closed.After(from)
}

func sortConns(conns []Conn) {
	slices.SortStableFunc(conns, func(a, b Conn) int {
		return cmp.Or(a.Opened.Compare(b.Opened), a.Client.Local.Compare(b.Client.Local))
	})
}

// WriteTruth writes the connections as JSON objects, one a line.
func WriteTruth(w io.Writer, conns []Conn) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	for i := range conns {
		if err := enc.Encode(&conns[i]); err != nil {
			return fmt.Errorf("write truth: %w", err)
		}
	}
	return b.Flush()
}

// ReadTruth reads the output of [WriteTruth].
func ReadTruth(r io.Reader) ([]Conn, error) {
	var conns []Conn
	dec := json.NewDecoder(bufio.NewReader(r))
	for {
		var c Conn
		if err := dec.Decode(&c); err == io.EOF {
			return conns, nil
		} else if err != nil {
			return conns, fmt.Errorf("read truth, connection %d: %w", len(conns)+1, err)
		}
		conns = append(conns, c)
	}
}
