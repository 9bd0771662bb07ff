package survey

import (
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
)

// TableOrder counts socket tables that follow a record which came while the table was
// being read. Such a table may be older than that record.
type TableOrder struct {
	Count uint64 // tables with the time of their reading
	Early uint64 // tables whose reading began before the previous record
	Most  int64  // how long before at most, ns
}

// recordFacts are facts that no report has.
type recordFacts struct {
	hostAddrs map[netip.Addr]bool
	walks     []int64 // when complete walks of /proc ended, at most maxWalks
	tables    TableOrder
	last      int64 // At of the previous record
}

// maxWalks bounds the memory for the times of walks. It is enough for more than a month.
const maxWalks = 1 << 20

// add adds the next record.
func (f *recordFacts) add(r *capture.Record) {
	switch r.Kind {
	case capture.KindProcNet:
		var t capture.ProcNet
		if r.Decode(&t) == nil {
			f.addTable(&t)
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

func (f *recordFacts) addTable(t *capture.ProcNet) {
	if t.ReadEnd == 0 { // the table has no times
		return
	}
	f.tables.Count++
	if early := f.last - t.ReadStart; early > 0 {
		f.tables.Early++
		f.tables.Most = max(f.tables.Most, early)
	}
}

func (f *recordFacts) addHost(p *capture.Host) {
	if f.hostAddrs == nil {
		f.hostAddrs = map[netip.Addr]bool{}
	}
	for _, i := range p.Interfaces {
		for _, s := range i.Addresses {
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
