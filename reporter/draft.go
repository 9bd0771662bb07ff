package reporter

import (
	"net/netip"
	"slices"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// A draft is what is to become a connection of the report: little enough to be
// sorted, and made of flows and rows only when its turn comes.
type draft struct {
	at             int32 // by kind: the flow's number, or a place among the join's chains or the closed rows
	client, server int32 // rows of the sockets, -1 for none
	kind           draftKind
	handshake      bool // a SYN was seen
	listener       bool // one end listens
	swapped        bool // it is the client
}

type draftKind uint8

const (
	ofFlow draftKind = iota
	ofChain
	ofRows   // which is the client's is not known yet
	ofClosed // rows
)

// An otherDraft has an end that is not of IPv4.
type otherDraft struct {
	to hostPort
	at uint32
}

// draft drafts one connection.
func (j *join) draft(l chain, d draft, h endHashes) {
	first, last := l.path[0], l.path[len(l.path)-1]
	d.client = j.socket(first, &first.key.orig, 0, h.client)
	d.server = j.socket(last, &last.reply, 1, h.server)
	edge, nat := d.client >= 0 || d.server >= 0, 0
	l.each(func(f *flow) {
		edge, d.handshake = edge || f.edge, d.handshake || f.handshake
		if f.nat {
			nat++
		}
	})
	if !edge {
		return // half open
	}
	if !d.handshake {
		j.sides(l, &d)
		d.listener, d.swapped = j.listener(first, &j.ends[0], &j.ends[1])
	}
	j.translations += nat
	from, to := hostPort{first.key.orig.SrcIP, first.key.orig.SrcPort}, hostPort{last.reply.SrcIP, last.reply.SrcPort}
	if d.swapped {
		from, to = to, from
	}
	j.note(&d, from, to)
}

// draftRows drafts a connection of which only rows tell: c is what will be made of
// them, again when its turn comes, for to keep it until then takes more memory
// than the rest of the report's making.
func (j *join) draftRows(d draft, c *Connection) {
	j.note(&d, hostPortOf(c.From.Addr), hostPortOf(c.To.Addr))
}

// note puts a draft among the others, to be sorted.
func (j *join) note(d *draft, from, to hostPort) {
	at := uint32(len(j.drafts))
	j.drafts = append(j.drafts, *d)
	if from.ip.Is4() && to.ip.Is4() {
		a, b := from.number(), to.number()
		j.keys = append(j.keys, sortKey{a<<16 | b>>32, b << 32, uint64(at)})
	} else {
		j.otherKeys = append(j.otherKeys, from.key(uint32(len(j.others))))
		j.others = append(j.others, otherDraft{to, at})
	}
}

// order sorts the drafts by their ends; of equal ones those that were made first
// go first.
func (j *join) order() {
	j.sort(&j.keys, &byAll)
	j.orderOthers()
	j.turns = slices.Grow(j.turns[:0], len(j.drafts))
	others := j.otherKeys
	for i := range j.keys {
		for len(others) > 0 && others[0].before(&j.keys[i]) {
			j.turns = append(j.turns, j.others[others[0].at()].at)
			others = others[1:]
		}
		j.turns = append(j.turns, j.keys[i].at())
	}
	for i := range others {
		j.turns = append(j.turns, j.others[others[i].at()].at)
	}
	j.keys, j.otherKeys = j.keys[:0], j.otherKeys[:0]
}

// sort sorts one of the join's lists.
func (j *join) sort(keys *[]sortKey, by *sortBy) {
	j.spareKeys = slices.Grow(j.spareKeys[:0], len(*keys))
	*keys, j.spareKeys = sortKeys(*keys, j.spareKeys, by)
}

// orderOthers sorts the other drafts by their clients' ends, then those that have
// one in common by their servers'.
func (j *join) orderOthers() {
	j.sort(&j.otherKeys, &byAll)
	keys := j.otherKeys
	for i := 0; i < len(keys); {
		client, first := keys[i].number(), i
		for i++; i < len(keys) && keys[i].number() == client; i++ {
		}
		if run := keys[first:i]; len(run) > 1 {
			for i := range run {
				at := run[i].at()
				run[i] = j.others[at].to.key(at)
			}
			sorted, _ := sortKeys(run, j.spareKeys[:len(run)], &byAll)
			for i := range sorted {
				run[i] = sortKey{client[0], client[1], client[2] | uint64(sorted[i].at())}
			}
		}
	}
}

// A hostPort is an address and a port.
type hostPort struct {
	ip   ctmsg.IP
	port uint16
}

func hostPortOf(a netip.AddrPort) hostPort { return hostPort{ctmsg.IPOf(a.Addr()), a.Port()} }

// number orders those of IPv4.
func (p hostPort) number() uint64 { return uint64(uint32(p.ip.Lo))<<16 | uint64(p.port) }

// key orders ends as netip does: IPv4 goes first.
func (p hostPort) key(at uint32) sortKey {
	k := sortKey{p.ip.Hi >> 1, p.ip.Hi<<63 | p.ip.Lo>>1, p.ip.Lo<<63 | uint64(p.port)<<32 | uint64(at)}
	if !p.ip.Is4() {
		k[0] |= 1 << 63
	}
	return k
}

// before reports whether the draft whose client the key is goes before one of
// IPv4 only.
func (k *sortKey) before(other *sortKey) bool {
	client := uint64(uint32(k[1]<<1|k[2]>>63))<<16 | uint64(uint16(k[2]>>32))
	return k[0]>>63 == 0 && client < other[0]>>16
}
