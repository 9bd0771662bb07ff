package replay

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// Disorder is what a tape tells of records that came late. Durations are ns.
type Disorder struct {
	Tables      uint64 // of sockets, with the times of their reading
	TablesEarly uint64 // whose reading began before the record ahead of them
	TablesMost  int64  // how much earlier at most
	Events      uint64 // conntrack messages that say when the kernel made them
	EventsBack  uint64 // made before the message ahead of them
	EventsLate  int64  // how long they took to the recorder, together
	EventsMost  int64  // and at most
}

// recordMeasurer looks at records for what no report tells.
type recordMeasurer struct {
	host           map[netip.Addr]bool // addresses of the host
	opened, closed Pace
	disorder       Disorder
	message        ctmsg.Message
	last           int64             // At of the record before
	made           map[uint32]uint64 // by source: when the kernel made its last message
}

// record is called with every record, in order.
func (m *measurer) record(h *capture.Header, r *capture.Record) {
	q := &m.records
	switch r.Kind {
	case capture.KindConntrack:
		if q.message.Decode(r.Payload, h.BigEndian) == nil {
			m.event(h, r)
		}
	case capture.KindProcNet:
		var t capture.ProcNet
		if r.Decode(&t) == nil {
			q.table(&t)
		}
	case capture.KindWalkEnd:
		if !failed(r) && len(m.walks) < maxWalks {
			m.walks = append(m.walks, r.At)
		}
	case capture.KindHost:
		var p capture.Host
		if r.Decode(&p) == nil {
			q.hostAddresses(&p)
		}
	}
	q.last = r.At
}

// maxWalks bounds the memory for their times: more than a month of them.
const maxWalks = 1 << 20

func (m *measurer) event(h *capture.Header, r *capture.Record) {
	q, e := &m.records, &m.records.message
	if e.EventTime != 0 {
		q.made = orMake(q.made)
		d := &q.disorder
		d.Events++
		if e.EventTime < q.made[r.Source] {
			d.EventsBack++
		}
		q.made[r.Source] = e.EventTime
		if late := h.Start + r.At - int64(e.EventTime); late > 0 {
			d.EventsLate += late
			d.EventsMost = max(d.EventsMost, late)
		}
	}
	if e.Orig.Proto != protoTCP {
		return
	}
	switch e.Type {
	case ctmsg.New:
		q.opened.add(r.At)
	case ctmsg.Destroy:
		q.closed.add(r.At)
		if e.CountersOrig.Has || e.CountersReply.Has {
			for _, a := range [...]netip.Addr{e.Orig.Src.Addr(), e.Reply.Src.Addr()} {
				t := m.talker(a)
				t.Flows++
				t.Bytes += e.CountersOrig.Bytes + e.CountersReply.Bytes
				if e.Orig.Src.Addr() == e.Reply.Src.Addr() {
					break
				}
			}
		}
	}
}

const protoTCP = 6

func orMake[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		m = map[K]V{}
	}
	return m
}

func (q *recordMeasurer) table(t *capture.ProcNet) {
	if t.ReadEnd == 0 { // not told
		return
	}
	q.disorder.Tables++
	if early := q.last - t.ReadStart; early > 0 {
		q.disorder.TablesEarly++
		q.disorder.TablesMost = max(q.disorder.TablesMost, early)
	}
}

func (q *recordMeasurer) hostAddresses(p *capture.Host) {
	q.host = orMake(q.host)
	for _, i := range p.Interfaces {
		for _, s := range i.Addresses {
			if prefix, err := netip.ParsePrefix(s); err == nil {
				q.host[prefix.Addr().Unmap()] = true
			} else if a, err := netip.ParseAddr(s); err == nil {
				q.host[a.Unmap()] = true
			}
		}
	}
}
