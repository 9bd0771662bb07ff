package survey

import (
	"net/netip"

	"github.com/topotape/topotape/capture"
)

// TableOrder is how many tables of sockets stand behind records that are younger
// than their reading.
type TableOrder struct {
	Count uint64 // tables that say when they were read
	Early uint64 // whose reading began before the record ahead of them
	Most  int64  // how much earlier at most, ns
}

// recordMeasurer looks at records for what no report tells.
type recordMeasurer struct {
	host   map[netip.Addr]bool // addresses of the host
	tables TableOrder
	last   int64 // At of the record before
}

// record is called with every record, in order.
func (m *measurer) record(r *capture.Record) {
	q := &m.records
	switch r.Kind {
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

func (q *recordMeasurer) table(t *capture.ProcNet) {
	if t.ReadEnd == 0 { // not told
		return
	}
	q.tables.Count++
	if early := q.last - t.ReadStart; early > 0 {
		q.tables.Early++
		q.tables.Most = max(q.tables.Most, early)
	}
}

func (q *recordMeasurer) hostAddresses(p *capture.Host) {
	if q.host == nil {
		q.host = map[netip.Addr]bool{}
	}
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
