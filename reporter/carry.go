package reporter

import (
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// carryLayout is the first number of a state. It changes with the fields that are carried
// and with their order: CoreVersion need not, when no output changes.
const carryLayout = 3

const (
	carryPart = 1 << 20   // bytes of state in one record
	maxCarry  = 512 << 20 // bytes of state that are taken over
)

// Carry returns all that the reporter knows, in the parts of a carry record: another
// reporter of the same rules and core version that is shown them makes the same reports
// from then on. It is nil if that is more than a reporter takes over. It may be called
// between any two Steps.
func (r *Reporter) Carry() []capture.Carry {
	c := carry.NewWriter()
	layout := uint32(carryLayout)
	carry.Uint(c, &layout)
	r.rules.carry(c)
	state := c.Bytes()
	if len(state) > maxCarry || !c.OK() {
		return nil
	}
	var parts []capture.Carry
	for more := true; more; {
		n := min(len(state), carryPart)
		more = n < len(state)
		parts = append(parts, capture.Carry{Core: CoreVersion, Rules: r.name, Part: uint32(len(parts)), More: more, State: state[:n]})
		state = state[n:]
	}
	return parts
}

// Carried reports whether the reporter took over a carry record: it knows what happened
// before the records that it was shown.
func (r *Reporter) Carried() bool { return r.carried }

// addCarry adds one part of a state. At the last one the state replaces all that was
// known, unless it is another core's, or cannot be read: then it is ignored.
func (r *Reporter) addCarry(rec *capture.Record) {
	var p capture.Carry
	if rec.Decode(&p) != nil || p.Rules != r.name {
		return
	}
	if p.Part == 0 {
		r.state, r.parts = nil, 0
	}
	if p.Core != CoreVersion || p.Part != r.parts || len(p.State) > maxCarry-len(r.state) {
		r.state, r.parts = nil, 0
		return
	}
	r.state, r.parts = append(r.state, p.State...), p.Part+1
	if p.More {
		return
	}
	c := carry.NewReader(r.state)
	r.state, r.parts = nil, 0
	layout := uint32(0)
	if carry.Uint(c, &layout); layout != carryLayout {
		return
	}
	fresh := newMachine(r.header, r.name)
	if fresh.carry(c); c.Err() == nil {
		r.rules, r.carried = fresh, true
	}
}

func (s *stamp) carry(c *carry.Coder) {
	carry.Int(c, &s.at)
	carry.Uint(c, &s.seq)
}

// carry is the tuple of a flow or a row: both addresses are there.
func (t *tuple) carry(c *carry.Coder) {
	c.AddrPort(&t.src)
	c.AddrPort(&t.dst)
	c.Check(t.src.IsValid() && t.dst.IsValid())
}

// carryTCP is a tuple of plain addresses.
func carryTCP(c *carry.Coder, t *ctmsg.Tuple) {
	x := scopeTuple(t)
	x.carry(c)
	if c.Reading() {
		*t = tcpTuple(x.src, x.dst)
		c.Check(scopeTuple(t) == x)
	}
}

func (k *tableKey) carry(c *carry.Coder) {
	carry.Uint(c, &k.netns)
	c.String(&k.name)
}

func carryString(c *carry.Coder, s *string) { c.String(s) }

func (p *Process) carry(c *carry.Coder) {
	carry.Uint(c, &p.PID)
	c.String(&p.Comm)
}

func carryProcess(c *carry.Coder, p *Process) { p.carry(c) }

// carryTick is the last tick, and the times of it and of the one before.
func carryTick(c *carry.Coder, t *capture.Tick, at, before *int64, window *uint64) {
	carry.Uint(c, &t.Number)
	carry.Int(c, &t.Interval)
	carry.Int(c, at)
	carry.Int(c, before)
	carry.Uint(c, window)
}

// carryLists is lists of processes, as payloads: their new fields are carried, too.
func carryLists(c *carry.Coder, lists *[]capture.ProcSockets) {
	carry.List(c, lists, 1, func(c *carry.Coder, p *capture.ProcSockets) {
		var b []byte
		if !c.Reading() {
			b = capture.AppendPayload(nil, p)
		}
		c.Blob(&b)
		if c.Reading() && c.OK() {
			r := capture.Record{Kind: capture.KindProcSockets, Payload: b}
			c.Check(r.Decode(p) == nil)
		}
	})
}

func (ss *sources) carry(c *carry.Coder) {
	n := len(ss.list)
	c.Len(&n, 1)
	if c.Reading() {
		ss.list = make([]*source, n)
	}
	for i := range ss.list {
		if c.Reading() {
			ss.list[i] = new(source)
		}
		s := ss.list[i]
		s.carry(c)
		c.Check(i == 0 || ss.list[i-1].number < s.number)
	}
	c.Bools(&ss.eventsOff)
}

func (s *source) carry(c *carry.Coder) {
	carry.Uint(c, &s.number)
	c.String(&s.kind)
	carry.Uint(c, &s.netns)
	c.Bools(&s.closed, &s.degraded, &s.dumping, &s.dumpGap)
	c.String(&s.why)
	c.String(&s.reason)
	for _, n := range [...]*uint64{&s.records, &s.lost, &s.undecodable, &s.ignored, &s.gapSeq, &s.window, &s.dumpFrom} {
		carry.Uint(c, n)
	}
}
