package events

import (
	"slices"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
)

// Role is what a socket does in its connection.
type Role uint8

// The roles of a socket.
const (
	Unknown  Role = iota // it was open when the recording began
	Client               // it connected
	Accepted             // a listening socket made it
)

// A Socket is one life of a connected socket. The kernel reuses its memory, and a process may connect it again: that is
// another Socket.
type Socket struct {
	ctmsg.Tuple        // Src is the local end; its port is 0 until Established
	Netns       uint64 // of the thread that connected or closed, 0 if unknown: a hint
	Role        Role
	State       procnet.State
	Established bool
	Ended       bool

	Begun   int64 // ns since the recording's start: of the first event
	Last    int64 // of the last event
	End     int64 // of the event that ended it
	LastSeq uint64
	EndSeq  uint64
	Window  uint64 // in which it ended
	Connect int64  // ns from the first SYN to its answer, 0 if unknown

	// Processes are those that the events name: the one that connected, then the one that closed.
	Processes []report.Process
	// Listeners are the sockets that may have accepted the connection.
	Listeners []Listener

	First int64 // when the first event happened: Begun without the delay of its record

	number uint64
	final  int64 // when the last event happened
	syn    int64 // time of the SYN on the clock of the events, 0 if unknown
	// closing is set once a process closed its end or the other did so first and was answered.
	closing bool

	failure failure // of a socket that ended and was never established
	// late is the number of the window, counted from 1, at whose end the SYN was unanswered for
	// longer than one window; 0 for none.
	late uint64
	// unsure is set if events were lost while the SYN was unanswered: its answer may be among them.
	unsure bool
}

// Open reports whether the socket's end is still open in both directions as far as its own process is concerned: a
// table of its namespace shows it.
func (s *Socket) Open() bool { return s.Established && !s.Ended && !s.closing }

// Overlaps reports whether the socket lived at some time of a period that another source shows. Between sources no order
// is trusted, and a recorder that gets no processor reads the other source late.
func (s *Socket) Overlaps(first, last int64) bool {
	return (s.Role == Unknown || s.First-Tolerance <= last) && (!s.Ended || s.final+delay >= first)
}

// Tolerance is by how much the time of an event may differ from that of another source's record, in ns; delay is by how
// much later such a record may be.
const (
	Tolerance = 50e6
	delay     = 1e9
)

// addProcess adds a process that an event names.
func (s *Socket) addProcess(p report.Process) { s.Processes = AddProcess(s.Processes, p) }

// AddProcess returns a list with a process at the end, unless the list has it. A process whose
// name was unknown gets its name. The list itself does not change.
func AddProcess(list []report.Process, p report.Process) []report.Process {
	at := slices.IndexFunc(list, func(q report.Process) bool { return q.PID == p.PID })
	switch {
	case at >= 0 && list[at].Comm == "" && p.Comm != "":
		list = slices.Clone(list)
		list[at].Comm = p.Comm
	case at < 0 && len(list) < maxProcesses:
		list = append(slices.Clip(list), p)
	}
	return list
}

// maxProcesses bounds the processes of one socket, with those that tables list.
const maxProcesses = 64
