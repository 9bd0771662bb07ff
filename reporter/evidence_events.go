package reporter

import (
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/packed"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// Limits of the records of socket events that are kept. Larger formats and further sockets and processes are ignored.
const (
	maxEventFormat    = 64 << 10 // bytes
	maxEventSockets   = 1 << 20
	maxEventProcesses = 256 << 10
)

// eventEvidence is the first and the last event of each open socket, the last list of processes, and what events since
// then show of the processes that run.
type eventEvidence struct {
	text      *capture.Record // the format, nil for none
	format    sockmsg.Format
	sockets   map[uint64]*socketEvidence
	snapshot  packed.Records
	listed    int64 // time of the last record in snapshot
	processes map[uint32]*processEvidence
}

// A socketEvidence is the first and the last event of a socket.
type socketEvidence struct{ first, last capture.Record }

// A processEvidence is the last events of a process.
type processEvidence struct{ fork, comm, netns capture.Record }

func newEventEvidence() eventEvidence {
	return eventEvidence{format: sockmsg.UsualFormat(), sockets: map[uint64]*socketEvidence{}, processes: map[uint32]*processEvidence{}}
}

// sameList is within how many ns the parts of one list of processes follow one another.
const sameList = 1e9

// add adds a record.
func (e *eventEvidence) add(r *capture.Record, bigEndian bool) {
	switch r.Kind {
	case capture.KindSocketFormat:
		var p capture.SocketFormat
		if len(r.Payload) > maxEventFormat || r.Decode(&p) != nil {
			return
		}
		if f, err := sockmsg.ParseFormat(p.Text); err == nil {
			k := copyRecord(r)
			e.text, e.format = &k, f
		}
	case capture.KindProcesses:
		if r.At > e.listed+sameList {
			e.snapshot.Clear()
		}
		e.listed = r.At
		e.snapshot.Add(r)
	case capture.KindSocketEvent:
		e.socket(r, bigEndian)
	case capture.KindProcessEvent:
		e.process(r, bigEndian)
	}
}

// socket adds an event of a socket. Those of closed sockets are dropped.
func (e *eventEvidence) socket(r *capture.Record, bigEndian bool) {
	m := new(sockmsg.Event)
	if len(r.Payload) > maxMessage || e.format.Decode(m, r.Payload, bigEndian) != nil {
		return
	}
	s := e.sockets[m.Socket]
	switch {
	case m.New == procnet.Close:
		delete(e.sockets, m.Socket)
		return
	case s == nil && len(e.sockets) >= maxEventSockets:
		return
	case s == nil || m.Old == procnet.Close:
		s = new(socketEvidence)
		e.sockets[m.Socket] = s
		copyInto(&s.first, r)
	}
	copyInto(&s.last, r)
}

// process adds an event of a process. Those of processes that ended are dropped.
func (e *eventEvidence) process(r *capture.Record, bigEndian bool) {
	m := new(sockmsg.Process)
	if len(r.Payload) > maxMessage || sockmsg.DecodeProcess(m, r.Payload, bigEndian) != nil || !m.Leader() {
		return
	}
	p := e.processes[m.PID]
	if p == nil && len(e.processes) < maxEventProcesses {
		p = new(processEvidence)
		e.processes[m.PID] = p
	}
	switch {
	case m.Kind == sockmsg.Exit:
		delete(e.processes, m.PID)
	case p == nil:
	case m.Kind == sockmsg.Fork:
		*p = processEvidence{}
		copyInto(&p.fork, r)
	case m.Kind == sockmsg.Comm:
		copyInto(&p.comm, r)
	case m.Kind == sockmsg.Namespaces:
		copyInto(&p.netns, r)
	}
}

// lost applies that events were lost: nothing that is known about processes counts any more.
func (e *eventEvidence) lost() {
	e.snapshot.Clear()
	clear(e.processes)
}

// appendTo appends the records, in any order.
func (e *eventEvidence) appendTo(out []capture.Record) []capture.Record {
	if e.text != nil {
		out = append(out, *e.text)
	}
	for r := range e.snapshot.All() {
		out = append(out, copyRecord(&r))
	}
	for _, s := range e.sockets { // sorted below, in Records
		out = append(out, s.first, s.last)
	}
	for _, p := range e.processes { // sorted below, in Records
		for _, r := range [...]capture.Record{p.fork, p.comm, p.netns} {
			if r.Seq != 0 {
				out = append(out, r)
			}
		}
	}
	return out
}
