package reportertest

import (
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// socketsSource is the usual number of the source of socket events.
const socketsSource = 5

// An Event is a socket's change of state.
type Event struct {
	PID      uint32
	TID      uint32 // 0 means PID
	Socket   uint64
	Change   string // old and new state, "CLOSE>SYN_SENT"
	Row      string // local and remote end, as Ends parses them
	Flags    uint8
	Protocol uint16 // 0 means TCP
}

// Event sends an event of a socket.
func (h *Host) Event(e Event) {
	was, is, _ := strings.Cut(e.Change, ">")
	ends := Ends(e.Row)
	m := sockmsg.Event{PID: e.PID, TID: e.TID, Time: h.At + 5e9, Flags: e.Flags, Socket: e.Socket, Old: h.state(was), New: h.state(is),
		Protocol: e.Protocol, Local: ends.Src, Remote: ends.Dst}
	if m.TID == 0 {
		m.TID = m.PID
	}
	if m.Protocol == 0 {
		m.Protocol = sockmsg.TCP
	}
	f := sockmsg.UsualFormat()
	h.Raw(capture.KindSocketEvent, socketsSource, m.Append(nil, &f, false))
}

func (h *Host) state(name string) procnet.State {
	for s := procnet.Established; s <= procnet.NewSynRecv; s++ {
		if s.String() == name {
			return s
		}
	}
	h.T.Fatalf("state %q", name)
	return 0
}

// Process sends an event of a process. A thread of 0 is the process's leader.
func (h *Host) Process(p sockmsg.Process) {
	if p.TID == 0 {
		p.TID = p.PID
	}
	if p.PTID == 0 {
		p.PTID = p.PPID
	}
	p.Time = h.At + 5e9
	h.Raw(capture.KindProcessEvent, socketsSource, p.Append(nil, false))
}

// Running sends a list of processes that run in a namespace.
func (h *Host) Running(netns uint64, list ...capture.Process) {
	h.Put(capture.KindProcesses, socketsSource, &capture.ProcSockets{Netns: netns, Processes: list})
}

// Connect sends the events of a connection's client, whose local end is known when it is established.
func (h *Host) Connect(pid uint32, socket uint64, row string) {
	ends := Ends(row)
	h.Event(Event{PID: pid, Socket: socket, Change: "CLOSE>SYN_SENT", Row: ends.Src.Addr().String() + ":0>" + ends.Dst.String()})
	h.Event(Event{PID: 99, Socket: socket, Change: "SYN_SENT>ESTABLISHED", Row: row, Flags: sockmsg.FlagSoftIRQ | sockmsg.FlagBHOff})
}

// Accept sends the event of a connection's server. Its row has the server as local end.
func (h *Host) Accept(socket uint64, row string) {
	h.Event(Event{PID: 99, Socket: socket, Change: "SYN_RECV>ESTABLISHED", Row: row, Flags: sockmsg.FlagSoftIRQ | sockmsg.FlagBHOff})
}

// Close sends the events of a process that closes a socket and of its end. passive says that the other end closed
// first.
func (h *Host) Close(pid uint32, socket uint64, row string, passive bool) {
	if passive {
		h.Event(Event{PID: pid, Socket: socket, Change: "CLOSE_WAIT>LAST_ACK", Row: row})
		h.Event(Event{PID: 99, Socket: socket, Change: "LAST_ACK>CLOSE", Row: row, Flags: sockmsg.FlagSoftIRQ})
		return
	}
	h.Event(Event{PID: pid, Socket: socket, Change: "ESTABLISHED>FIN_WAIT1", Row: row})
	h.Event(Event{PID: 99, Socket: socket, Change: "FIN_WAIT2>CLOSE", Row: row, Flags: sockmsg.FlagSoftIRQ})
}
