package events

import (
	"maps"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// Carry codes the state, without what is derived from it.
func (k *Sockets) Carry(c *carry.Coder) {
	c.Bools(&k.flagged, &k.shown)
	carry.Int(c, &k.offset)
	c.Blob(&k.text)
	if c.Reading() && len(k.text) > 0 {
		c.Check(k.SetFormat(&capture.SocketFormat{Text: k.text}) == Applied)
	}
	carryNumbers(c, &k.mptcp)
	k.listeners.carry(c)
	k.processes.carry(c)
	n := len(k.all)
	c.Len(&n, 16)
	c.Check(n <= maxSockets)
	for i := 0; i < n && c.OK(); i++ {
		s := new(Socket)
		if !c.Reading() {
			s = k.all[i]
		}
		s.carry(c)
		if c.Reading() {
			k.restore(c, s)
		}
	}
}

// restore adds a socket that was read.
func (k *Sockets) restore(c *carry.Coder, s *Socket) {
	k.all = append(k.all, s)
	if s.Established {
		k.byTuple[s.Tuple] = append(k.byTuple[s.Tuple], s)
	}
	if !s.Ended {
		c.Check(k.current[s.number] == nil)
		k.current[s.number] = s
	}
}

// carry codes a socket.
func (s *Socket) carry(c *carry.Coder) {
	src, dst := s.Src(), s.Dst()
	c.AddrPort(&src)
	c.AddrPort(&dst)
	c.Check(src.IsValid() && dst.IsValid())
	if c.Reading() {
		s.Tuple = ctmsg.TupleOf(src, dst, sockmsg.TCP)
		c.Check(s.Src() == src && s.Dst() == dst)
	}
	carry.Uint(c, &s.Netns)
	carry.Uint(c, &s.Role)
	carry.Uint(c, &s.State)
	c.Bools(&s.Established, &s.Ended, &s.closing, &s.unsure)
	for _, at := range [...]*int64{&s.Begun, &s.Last, &s.First, &s.final, &s.Connect, &s.syn} {
		carry.Int(c, at)
	}
	carry.Uint(c, &s.LastSeq)
	carry.Uint(c, &s.number)
	carry.Uint(c, &s.late)
	carry.Uint(c, &s.failure)
	c.Check(s.failure < failures && (s.failure == noFailure || s.Ended && !s.Established))
	if s.Ended {
		carry.Int(c, &s.End)
		carry.Uint(c, &s.EndSeq)
		carry.Uint(c, &s.Window)
	}
	carry.List(c, &s.Processes, 2, func(c *carry.Coder, p *report.Process) {
		c.Check(!c.Reading() || len(s.Processes) < maxProcesses)
		carryProcess(c, p)
	})
	carry.List(c, &s.Listeners, 4, func(c *carry.Coder, l *Listener) {
		c.Check(!c.Reading() || len(s.Listeners) < maxAccepting)
		l.carry(c)
	})
}

func carryProcess(c *carry.Coder, p *report.Process) {
	carry.Uint(c, &p.PID)
	c.String(&p.Comm)
}

func (l *Listener) carry(c *carry.Coder) {
	carry.Uint(c, &l.Netns)
	c.Bools(&l.Named)
	carryProcess(c, &l.Process)
}

// carry codes the listeners: by port, each port's in the order of their events.
func (l *listeners) carry(c *carry.Coder) {
	var all []*listener
	for _, port := range slices.Sorted(maps.Keys(l.byPort)) {
		all = append(all, l.byPort[port]...)
	}
	carry.List(c, &all, 4, func(c *carry.Coder, p **listener) {
		if c.Reading() {
			*p = new(listener)
		}
		n := *p
		n.Listener.carry(c)
		carry.Uint(c, &n.number)
		c.AddrPort(&n.addr)
		if c.Reading() {
			c.Check(n.addr.IsValid() && l.byNumber[n.number] == nil && l.add(n))
		}
	})
}

// carry codes the processes and the threads in other namespaces, by number.
func (k *processes) carry(c *carry.Coder) {
	type known struct {
		pid uint32
		process
	}
	var list []known
	for _, pid := range slices.Sorted(maps.Keys(k.byPID)) {
		list = append(list, known{pid, *k.byPID[pid]})
	}
	carry.List(c, &list, 4, func(c *carry.Coder, p *known) {
		carry.Uint(c, &p.pid)
		c.String(&p.comm)
		carry.Uint(c, &p.netns)
		c.Bools(&p.placed, &p.kernel, &p.exited)
		if c.Reading() {
			q := p.process
			c.Check(k.byPID[p.pid] == nil && k.add(p.pid, &q))
		}
	})
	carry.List(c, &k.exits, 1, func(c *carry.Coder, pid *uint32) {
		c.Check(!c.Reading() || len(k.exits) <= maxExited)
		carry.Uint(c, pid)
	})
	type thread struct {
		tid   uint32
		netns uint64
	}
	var threads []thread
	for _, tid := range slices.Sorted(maps.Keys(k.threads)) {
		threads = append(threads, thread{tid, k.threads[tid]})
	}
	carry.List(c, &threads, 2, func(c *carry.Coder, t *thread) {
		carry.Uint(c, &t.tid)
		carry.Uint(c, &t.netns)
		if c.Reading() {
			c.Check(len(k.threads) < maxKnown)
			k.threads[t.tid] = t.netns
		}
	})
}

// carryNumbers codes a set of numbers, in order.
func carryNumbers(c *carry.Coder, set *map[uint64]bool) {
	list := slices.Sorted(maps.Keys(*set))
	carry.List(c, &list, 1, func(c *carry.Coder, n *uint64) {
		c.Check(!c.Reading() || len(*set) < maxMPTCP)
		carry.Uint(c, n)
		if c.Reading() {
			(*set)[*n] = true
		}
	})
}
