package events

import (
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// Sockets are the connected and the listening sockets, and the processes, that events show.
type Sockets struct {
	all       []*Socket // in the order of their first events
	current   map[uint64]*Socket
	byTuple   map[ctmsg.Tuple][]*Socket
	listeners listeners
	processes processes
	mptcp     map[uint64]bool // numbers of the open MPTCP sockets
	text      []byte          // of the format, nil for the usual one
	format    sockmsg.Format
	flagged   bool  // the kernel flags that bottom halves are off
	shown     bool  // there was an event
	offset    int64 // from the clock of the events to the recording's, in ns; see happened
}

// New returns Sockets without any.
func New() *Sockets {
	return &Sockets{current: map[uint64]*Socket{}, byTuple: map[ctmsg.Tuple][]*Socket{}, listeners: newListeners(), processes: newProcesses(),
		mptcp: map[uint64]bool{}, format: sockmsg.UsualFormat()}
}

// Bounds of what is kept. A host with a million connections is within them.
const (
	maxSockets    = 2 << 20
	maxMPTCP      = 64 << 10
	maxFormatText = 64 << 10 // bytes
)

// An Outcome says what became of a record.
type Outcome uint8

// The outcomes of a record.
const (
	Applied     Outcome = iota
	Undecodable         // the record is malformed
	Ignored             // the record is valid, and changes nothing
	LeftOut             // there is no room for what it shows
)

// A Change is a socket that an event changed, nil for none.
type Change struct {
	*Socket
	Began bool // it was established by this event
}

// SetFormat applies the layout of the events that follow.
func (k *Sockets) SetFormat(p *capture.SocketFormat) Outcome {
	f, err := sockmsg.ParseFormat(p.Text)
	if err != nil || len(p.Text) > maxFormatText {
		return Undecodable
	}
	k.format, k.text = f, slices.Clone(p.Text)
	return Applied
}

// SetKernel applies the kernel's release, such as 6.18.44: since 5.19 it flags that bottom halves are off. The flag is
// rare, so that its absence shows little.
func (k *Sockets) SetKernel(release string) {
	major, rest, _ := strings.Cut(release, ".")
	minor := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	x, errX := strconv.Atoi(major)
	y, errY := strconv.Atoi(minor)
	k.flagged = k.flagged || errX == nil && errY == nil && (x > 5 || x == 5 && y >= 19)
}

// Snapshot applies a list of the processes that ran.
func (k *Sockets) Snapshot(p *capture.ProcSockets) Outcome { return outcome(k.processes.snapshot(p)) }

func outcome(fits bool) Outcome {
	if !fits {
		return LeftOut
	}
	return Applied
}

// Process applies an event of a process.
func (k *Sockets) Process(r *capture.Record, bigEndian bool) Outcome {
	p := new(sockmsg.Process)
	if sockmsg.DecodeProcess(p, r.Payload, bigEndian) != nil || len(p.Comm) > maxComm {
		return Undecodable
	}
	if p.Kind == sockmsg.Cgroup {
		return Ignored
	}
	return outcome(k.processes.apply(p))
}

// Lost applies that events were lost: processes may have others' numbers now. Sockets stay, but may have ended.
func (k *Sockets) Lost() {
	k.processes = newProcesses()
	for _, s := range k.all {
		s.unsure = s.unsure || s.waits()
	}
}

// Event applies an event of a socket in a window.
func (k *Sockets) Event(r *capture.Record, window uint64, bigEndian bool) (Change, Outcome) {
	e := new(sockmsg.Event)
	if k.format.Decode(e, r.Payload, bigEndian) != nil {
		return Change{}, Undecodable
	}
	k.happened(e, r)
	k.shown = true
	k.flagged = k.flagged || e.Flags&sockmsg.FlagBHOff != 0
	switch {
	case e.Protocol == sockmsg.MPTCP:
		return Change{}, k.applyMPTCP(e)
	case e.Protocol != sockmsg.TCP:
		return Change{}, Ignored
	case e.New == procnet.Listen:
		return Change{}, k.listen(e)
	case e.Old == procnet.Listen && e.New == procnet.Close:
		k.listeners.remove(e.Socket)
		return Change{}, Applied
	}
	return k.apply(e, r, window)
}

// happened learns the offset between the clocks. The time of a record is never before that of its
// event, but may be later: it does not decrease along a tape, and records of other sources come
// between. So the smallest difference counts, until a host that was suspended makes it jump.
func (k *Sockets) happened(e *sockmsg.Event, r *capture.Record) {
	const maxDelay = 5e9 // of a record, in ns
	if d := r.At - e.Time; !k.shown || d < k.offset || d > k.offset+maxDelay {
		k.offset = d
	}
}

// applyMPTCP notes that there are MPTCP sockets. Their connections are those of their paths, which have events of their own.
func (k *Sockets) applyMPTCP(e *sockmsg.Event) Outcome {
	switch {
	case e.New == procnet.Close:
		delete(k.mptcp, e.Socket)
	case len(k.mptcp) < maxMPTCP:
		k.mptcp[e.Socket] = true
	}
	return Ignored
}

// listen adds a listening socket.
func (k *Sockets) listen(e *sockmsg.Event) Outcome {
	n := &listener{number: e.Socket, addr: e.Local}
	if e.InProcess() {
		n.Process, n.Named = k.named(e)
		n.Netns = k.processes.netns(e.PID, e.TID)
	}
	return outcome(k.listeners.add(n))
}

// apply applies an event of a connected socket.
func (k *Sockets) apply(e *sockmsg.Event, r *capture.Record, window uint64) (Change, Outcome) {
	if e.Old != procnet.Listen {
		k.listeners.remove(e.Socket)
	}
	s := k.current[e.Socket]
	begins := e.Old == procnet.Close && e.New == procnet.SynSent
	if s != nil && (begins || s.Established && e.New != procnet.Close && s.Tuple != tupleOf(e)) {
		k.end(s, r, window) // its last event was lost
		s = nil
	}
	if s == nil {
		connected := e.Local.Port() != 0 && e.Remote.Port() != 0
		if !begins && (!connected || e.Old == procnet.Listen || e.Old == procnet.Close) {
			return Change{}, Ignored
		}
		if len(k.all) >= maxSockets {
			return Change{}, LeftOut
		}
		s = &Socket{Tuple: tupleOf(e), number: e.Socket, Begun: r.At, First: e.Time + k.offset}
		k.all = append(k.all, s)
		k.current[e.Socket] = s
	}
	had := s.Established
	k.change(s, e, r)
	if s.Established && !had {
		s.Tuple = tupleOf(e)
		k.byTuple[s.Tuple] = append(k.byTuple[s.Tuple], s)
	}
	if e.New == procnet.Close {
		if e.Old == procnet.SynSent {
			s.failed(e)
		}
		k.end(s, r, window)
	}
	return Change{s, s.Established && !had}, Applied
}

func tupleOf(e *sockmsg.Event) ctmsg.Tuple { return ctmsg.TupleOf(e.Local, e.Remote, sockmsg.TCP) }

// change applies an event to a socket.
func (k *Sockets) change(s *Socket, e *sockmsg.Event, r *capture.Record) {
	s.Last, s.LastSeq, s.final = r.At, r.Seq, e.Time+k.offset
	if e.New != procnet.Close || e.Old == procnet.SynSent {
		s.State = e.New
	}
	switch {
	case e.New == procnet.SynSent:
		s.Role, s.syn = Client, e.Time
		k.name(s, e)
	case e.New == procnet.Established && e.Old == procnet.SynSent:
		s.Role, s.Established = Client, true
		if s.syn != 0 && e.Time > s.syn {
			s.Connect = e.Time - s.syn
		}
	case e.New == procnet.Established:
		s.Established = true
		if s.Role == Unknown { // else both ends connected at once
			s.Role, s.Listeners = Accepted, k.listeners.accepting(e.Local)
		}
	case e.New == procnet.FinWait1 || e.New == procnet.LastAck:
		s.Established, s.closing = true, true
		if k.flagged {
			k.name(s, e)
		}
	case e.New == procnet.Close && e.Old != procnet.SynSent && e.Old != procnet.SynRecv:
		s.Established = true
	}
}

// name adds the process of an event to its socket, if the event is evidence of it. A kernel thread may close what a
// process opened, so that it names only sockets that it connects.
func (k *Sockets) name(s *Socket, e *sockmsg.Event) {
	if !e.InProcess() || e.PID == 0 {
		return
	}
	p, named := k.named(e)
	if !named || p == kernelProcess && e.New != procnet.SynSent {
		return
	}
	if p != kernelProcess && s.Netns == 0 {
		s.Netns = k.processes.netns(e.PID, e.TID)
	}
	s.addProcess(p)
}

// named returns the process of an event, false if the event names none.
func (k *Sockets) named(e *sockmsg.Event) (report.Process, bool) {
	p := k.processes.byPID[e.PID]
	switch {
	case e.PID == 0:
		return report.Process{}, false
	case p == nil:
		return report.Process{PID: e.PID}, true
	case p.kernel:
		return kernelProcess, len(k.mptcp) == 0
	}
	return report.Process{PID: e.PID, Comm: p.comm}, true
}

// end ends a socket in a window.
func (k *Sockets) end(s *Socket, r *capture.Record, window uint64) {
	s.Ended, s.End, s.EndSeq, s.Window = true, r.At, r.Seq, window
	delete(k.current, s.number)
}

// Vanished ends a socket whose last event was lost: a table lacks it.
func (k *Sockets) Vanished(s *Socket, r *capture.Record, window uint64) {
	s.final = r.At
	k.end(s, r, window)
}

// All returns the sockets, established or not, in the order of their first events.
func (k *Sockets) All() []*Socket { return k.all }

// Of returns the established sockets of a tuple, in the order of their first events.
func (k *Sockets) Of(t *ctmsg.Tuple) []*Socket { return k.byTuple[*t] }

// Shown reports whether there was any event.
func (k *Sockets) Shown() bool { return k.shown }

// Sweep ends a window. It marks the SYNs from before a time that are still unanswered. It drops the sockets that ended
// before the window before this one, unless they are still needed. Of those that were never established it keeps the ones
// whose connect failed in this window.
func (k *Sockets) Sweep(window uint64, before int64, needed func(*Socket) bool) {
	k.all = slices.DeleteFunc(k.all, func(s *Socket) bool {
		switch {
		case !s.Ended:
			if s.late == 0 && s.Begun < before && s.waits() {
				s.late = window + 1
			}
			return false
		case s.Established && (s.Window+1 >= window || needed(s)), s.failure != noFailure && s.Window >= window:
			return false
		}
		k.unindex(s)
		return true
	})
}

// unindex makes Of not return a socket any more.
func (k *Sockets) unindex(s *Socket) {
	if !s.Established {
		return
	}
	list := slices.DeleteFunc(k.byTuple[s.Tuple], func(o *Socket) bool { return o == s })
	if k.byTuple[s.Tuple] = list; len(list) == 0 {
		delete(k.byTuple, s.Tuple)
	}
}
