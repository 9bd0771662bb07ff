package survey

import (
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// recordFacts are facts that records show and reports do not.
type recordFacts struct {
	hostAddrs map[netip.Addr]bool
	walks     []int64               // when complete walks of /proc ended, at most maxWalks
	traffic   map[netip.Addr]uint64 // bytes of TCP flows that ended, both directions; at most maxTraffic
	opened    pace
	closed    pace
	disorder  disorder
	last      int64             // At of the previous record
	late      int64             // ns from the kernel's time of messages to the recorder's, sum
	made      map[uint32]uint64 // by source: kernel time of the last message, Unix ns; at most maxTraffic
	message   ctmsg.Message
}

// Maxima that bound the memory. That of walks is enough for more than a month.
const (
	maxWalks     = 1 << 20
	maxTraffic   = 256 << 10 // addresses with traffic, and sources with the kernel's times
	maxHostAddrs = 256 << 10
)

// A pace counts messages and finds the second with most of them.
type pace struct {
	Count  uint64   `json:"count"`
	Rate   float64  `json:"per_second"`
	Most   uint64   `json:"most_in_a_second"`
	MostAt duration `json:"most_at"` // start of that second, since the recording's start

	second int64  // of the last message
	now    uint64 // messages in that second
}

// A disorder counts records that came late. A socket table whose reading began before
// the previous record came may be older than that record.
type disorder struct {
	Tables          uint64   `json:"tables"` // with the time of their reading
	TablesEarly     uint64   `json:"tables_read_before_the_record_ahead"`
	TablesEarlyMost duration `json:"tables_earlier_at_most"`
	Events          uint64   `json:"events_with_kernel_time"`
	EventsBack      uint64   `json:"events_out_of_kernel_order"`
	EventsLate      duration `json:"events_late_on_average"`
	EventsLateMost  duration `json:"events_late_at_most"`
}

func newRecordFacts() recordFacts {
	return recordFacts{hostAddrs: map[netip.Addr]bool{}, traffic: map[netip.Addr]uint64{}, made: map[uint32]uint64{}}
}

// add adds the next record.
func (f *recordFacts) add(h *capture.Header, r *capture.Record) {
	switch r.Kind {
	case capture.KindConntrack:
		if f.message.Decode(r.Payload, h.BigEndian) == nil {
			f.addMessage(h, r)
		}
	case capture.KindProcNet:
		var t capture.ProcNet
		if r.Decode(&t) == nil {
			f.addTable(t.ReadStart, t.ReadEnd)
		}
	case capture.KindSocketTable:
		var t capture.SocketTable
		if r.Decode(&t) == nil {
			f.addTable(t.ReadStart, t.ReadEnd)
		}
	case capture.KindWalkEnd:
		if !failed(r) && len(f.walks) < maxWalks {
			f.walks = append(f.walks, r.At)
		}
	case capture.KindHost:
		var p capture.Host
		if r.Decode(&p) == nil {
			f.addHost(&p)
		}
	}
	f.last = r.At
}

func (f *recordFacts) addMessage(h *capture.Header, r *capture.Record) {
	m := &f.message
	f.order(h.Start+r.At, r.Source)
	if m.Orig.Proto != 6 { // TCP
		return
	}
	switch m.Type {
	case ctmsg.New:
		f.opened.add(r.At)
	case ctmsg.Destroy:
		f.closed.add(r.At)
		if m.CountersOrig.Has || m.CountersReply.Has {
			f.addTraffic(m.Orig.SrcIP.Addr(), m.Reply.SrcIP.Addr(), m.CountersOrig.Bytes+m.CountersReply.Bytes)
		}
	}
}

// order compares the kernel's time of a message with the time it came, Unix ns.
func (f *recordFacts) order(came int64, source uint32) {
	made := f.message.EventTime
	if made == 0 {
		return
	}
	d := &f.disorder
	d.Events++
	if made < f.made[source] {
		d.EventsBack++
	}
	if len(f.made) < maxTraffic {
		f.made[source] = made
	}
	if late := came - int64(made); late > 0 {
		f.late += late
		d.EventsLateMost = max(d.EventsLateMost, duration(late))
	}
}

// addTraffic adds the bytes of a flow to both its ends.
func (f *recordFacts) addTraffic(client, server netip.Addr, bytes uint64) {
	for _, a := range [...]netip.Addr{client, server} {
		if _, known := f.traffic[a]; known || len(f.traffic) < maxTraffic {
			f.traffic[a] += bytes
		}
		if client == server {
			return
		}
	}
}

// addTable adds a table that was read between two times.
func (f *recordFacts) addTable(start, end int64) {
	if end == 0 { // the table has no times
		return
	}
	d := &f.disorder
	d.Tables++
	if early := f.last - start; early > 0 {
		d.TablesEarly++
		d.TablesEarlyMost = max(d.TablesEarlyMost, duration(early))
	}
}

func (f *recordFacts) addHost(p *capture.Host) {
	for _, i := range p.Interfaces {
		for _, s := range i.Addresses {
			if len(f.hostAddrs) >= maxHostAddrs {
				return
			}
			if prefix, err := netip.ParsePrefix(s); err == nil {
				f.hostAddrs[prefix.Addr().Unmap()] = true
			} else if a, err := netip.ParseAddr(s); err == nil {
				f.hostAddrs[a.Unmap()] = true
			}
		}
	}
}

// walkWithin reports whether a complete walk ended between two times.
func (f *recordFacts) walkWithin(from, to int64) bool {
	at, _ := slices.BinarySearch(f.walks, from)
	return at < len(f.walks) && f.walks[at] <= to
}

func (p *pace) add(at int64) {
	if second := at / 1e9; second != p.second || p.now == 0 {
		p.second, p.now = second, 0
	}
	p.Count++
	if p.now++; p.now > p.Most {
		p.Most, p.MostAt = p.now, duration(p.second*1e9)
	}
}
