package survey

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// messageCounter counts what conntrack messages show and reports do not.
type messageCounter struct {
	opened, closed pace
	traffic        map[netip.Addr]uint64 // bytes of TCP flows that ended, both directions
	events         uint64                // messages with the kernel's time
	back           uint64                // whose kernel time precedes that of the message before
	late, lateMost int64                 // ns from the kernel's time to the recorder's: sum, maximum
	made           map[uint32]uint64     // by source: kernel time of the last message, Unix ns
	message        ctmsg.Message
}

// maxTraffic bounds the addresses whose bytes are counted.
const maxTraffic = 1 << 20

func newMessageCounter() *messageCounter {
	return &messageCounter{traffic: map[netip.Addr]uint64{}, made: map[uint32]uint64{}}
}

func (c *messageCounter) record(h *capture.Header, r *capture.Record) {
	m := &c.message
	if r.Kind != capture.KindConntrack || m.Decode(r.Payload, h.BigEndian) != nil {
		return
	}
	c.order(h.Start+r.At, r.Source)
	if m.Orig.Proto != 6 { // TCP
		return
	}
	switch m.Type {
	case ctmsg.New:
		c.opened.add(r.At)
	case ctmsg.Destroy:
		c.closed.add(r.At)
		if m.CountersOrig.Has || m.CountersReply.Has {
			c.ended(m.Orig.SrcIP.Addr(), m.Reply.SrcIP.Addr(), m.CountersOrig.Bytes+m.CountersReply.Bytes)
		}
	}
}

// order compares the kernel's time of a message with the time it came, Unix ns.
func (c *messageCounter) order(came int64, source uint32) {
	made := c.message.EventTime
	if made == 0 {
		return
	}
	c.events++
	if made < c.made[source] {
		c.back++
	}
	if len(c.made) < maxTraffic {
		c.made[source] = made
	}
	if late := came - int64(made); late > 0 {
		c.late += late
		c.lateMost = max(c.lateMost, late)
	}
}

// ended adds the bytes of a flow to both its ends.
func (c *messageCounter) ended(client, server netip.Addr, bytes uint64) {
	for _, a := range [...]netip.Addr{client, server} {
		if _, known := c.traffic[a]; known || len(c.traffic) < maxTraffic {
			c.traffic[a] += bytes
		}
		if client == server {
			return
		}
	}
}

// pace counts messages and finds the second with most of them.
type pace struct {
	count  uint64
	most   uint64 // in one second
	mostAt int64  // start of that second, ns since the recording's start
	second int64  // of the last message
	now    uint64 // messages in that second
}

func (p *pace) add(at int64) {
	if second := at / 1e9; second != p.second || p.now == 0 {
		p.second, p.now = second, 0
	}
	p.count++
	if p.now++; p.now > p.most {
		p.most, p.mostAt = p.now, p.second*1e9
	}
}
