package source

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
)

// CarryProcesses codes lists of Owners as their payloads, so that a new field of the
// payload is carried too.
func CarryProcesses(c *carry.Coder, lists *[]capture.ProcSockets) {
	size := 0
	carry.List(c, lists, 1, func(c *carry.Coder, p *capture.ProcSockets) {
		var b []byte
		if !c.Reading() {
			b = capture.AppendPayload(nil, p)
		}
		c.Blob(&b)
		if c.Reading() && c.OK() {
			r := capture.Record{Kind: capture.KindProcSockets, Payload: b}
			c.Check(r.Decode(p) == nil)
			*p = Owners(p)
			size += SizeOf(p)
			c.Check(size <= MaxOwners)
		}
	})
}

// CarryNetworks codes networks.
func CarryNetworks(c *carry.Coder, list *[]netip.Prefix) {
	carry.List(c, list, 2, func(c *carry.Coder, p *netip.Prefix) {
		c.Check(!c.Reading() || len(*list) < maxCarried)
		c.Prefix(p)
	})
}

// CarryTexts codes a list of short texts.
func CarryTexts(c *carry.Coder, list *[]string) {
	carry.List(c, list, 1, func(c *carry.Coder, p *string) {
		c.Check(!c.Reading() || len(*list) < maxCarried)
		c.String(p)
	})
}

// maxCarried bounds lists of networks.
const maxCarried = 1 << 20

// Carry codes the sources. The numbers must ascend.
func (ss *Sources) Carry(c *carry.Coder) {
	n := len(ss.List)
	c.Len(&n, 1)
	c.Check(n <= Max)
	if c.Reading() && c.OK() {
		ss.List = make([]*Source, n)
	}
	for i := range ss.List {
		if c.Reading() {
			ss.List[i] = new(Source)
		}
		s := ss.List[i]
		s.carry(c)
		c.Check(i == 0 || ss.List[i-1].Number < s.Number)
	}
	c.Bools(&ss.eventsOff)
	ss.counters.carry(c)
	ss.events.carry(c)
}

func (s *Source) carry(c *carry.Coder) {
	carry.Uint(c, &s.Number)
	c.String(&s.Kind)
	carry.Uint(c, &s.Netns)
	c.Bools(&s.Closed, &s.Dumping, &s.dumpGap, &s.interrupted)
	c.String(&s.Reason)
	c.String(&s.Missing)
	for _, n := range [...]*uint64{&s.Records, &s.Lost, &s.Undecodable, &s.Ignored, &s.GapSeq, &s.window, &s.DumpFrom, &s.Flows} {
		carry.Uint(c, n)
	}
	s.opens.carry(c)
}
