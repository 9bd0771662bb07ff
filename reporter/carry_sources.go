package reporter

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
)

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

func carryNetworks(c *carry.Coder, list *[]netip.Prefix) {
	carry.List(c, list, 2, func(c *carry.Coder, p *netip.Prefix) { c.Prefix(p) })
}
