package reporter

import (
	"net/netip"
	"slices"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// A draft is what is to become a connection of the report, in one line of memory:
// all that flows tell of it. Its client's end is in the key by which it is sorted.
type draft struct {
	to             ctmsg.IP // the server's end
	first, last    int64
	at             int32  // by kind: the flow's number, the chain's, or a place among the closed rows
	client, server int32  // rows of the sockets, -1 for none
	nat, nats      int32  // where its translations are among the report's, and how many
	port           uint16 // the server's
	kind           draftKind
	state          ctmsg.State
	hasState       bool
	handshake      bool // a SYN was seen
	listener       bool // one end listens
	swapped        bool // it is the client
	closed         bool
	hidden         bool // as its end would be
	kept           bool // sockets may have been kept with the flow
}

type draftKind uint8

const (
	ofFlow draftKind = iota
	ofChain
	ofRows   // which is the client's is not known yet
	ofClosed // rows
)

// chain is what a draft was made of.
func (j *join) chain(d *draft) chain {
	if d.kind == ofChain {
		return j.linker.chain(d.at)
	}
	j.single[0] = j.c.flows.at(d.at)
	return chain{path: j.single[:]}
}

// draft drafts one connection.
func (j *join) draft(l chain, d draft, h endHashes) {
	first, last := l.path[0], l.path[len(l.path)-1]
	d.client = j.socket(first, &first.key.orig, 0, h.client)
	d.server = j.socket(last, &last.reply, 1, h.server)
	edge := d.client >= 0 || d.server >= 0
	l.each(func(f *flow) { edge, d.handshake = edge || f.edge, d.handshake || f.handshake })
	if !edge {
		return // half open
	}
	d.kept = first.kept || last.kept
	from, to := hostPort{first.key.orig.SrcIP, first.key.orig.SrcPort}, hostPort{last.reply.SrcIP, last.reply.SrcPort}
	if !d.handshake {
		j.sides(&d, from, to)
		d.listener, d.swapped = j.listener(first, &j.ends[0], &j.ends[1])
	}
	j.hear(&d, l)
	if d.swapped {
		from, to = to, from
	}
	j.note(&d, from, to)
}

// hear notes what the flows of a chain tell together, and lists their translations.
func (j *join) hear(d *draft, l chain) {
	teller, gap := l.path[0], uint64(0) // of the state
	d.nat = int32(len(j.nat))
	d.closed, d.hidden, d.first, d.last = true, true, teller.first, teller.last
	l.each(func(f *flow) {
		s := j.c.sources.get(f.key.source)
		d.closed = d.closed && f.ended
		d.hidden = d.hidden && s.hidden(f.shown)
		d.first, d.last = min(d.first, f.first), max(d.last, f.last)
		gap = max(gap, s.gapSeq)
		if f != teller && f.tells() > teller.tells() {
			teller = f
		}
		if f.nat {
			j.nat = append(j.nat, f.translation())
		}
	})
	d.state, d.hasState = teller.state, teller.hasState
	d.nats = int32(len(j.nat)) - d.nat
	for _, row := range [...]int32{d.client, d.server} {
		if row >= 0 && !d.closed {
			d.hidden = d.hidden && j.c.sockets.rows[row].table.at.seq < gap
		}
	}
}

// translation is that of a translating flow: most often one end stays as it is.
func (f *flow) translation() NAT {
	orig, reply := &f.key.orig, &f.reply
	n := NAT{OriginalSrc: orig.Src(), OriginalDst: orig.Dst()}
	if n.ReplyDst = n.OriginalSrc; reply.DstIP != orig.SrcIP || reply.DstPort != orig.SrcPort {
		n.ReplyDst = reply.Dst()
	}
	if n.ReplySrc = n.OriginalDst; reply.SrcIP != orig.DstIP || reply.SrcPort != orig.DstPort {
		n.ReplySrc = reply.Src()
	}
	return n
}

// tells ranks flows of one chain by what their state is worth.
func (f *flow) tells() int {
	switch {
	case f.edge && !f.ended:
		return 3
	case !f.ended:
		return 2
	case f.edge:
		return 1
	}
	return 0
}

// draftRows drafts a connection of which only rows tell: c is what will be made of
// them, again when its turn comes, for to keep it until then takes more memory
// than the rest of the report's making.
func (j *join) draftRows(d draft, c *Connection) {
	j.note(&d, hostPortOf(c.From.Addr), hostPortOf(c.To.Addr))
}

// note puts a draft among the others, to be sorted.
func (j *join) note(d *draft, from, to hostPort) {
	d.to, d.port = to.ip, to.port
	j.keys = append(j.keys, from.key(uint32(len(j.drafts))))
	j.drafts = append(j.drafts, *d)
}

// order sorts the drafts by their clients' ends, then those that have one in common
// by their servers'; of equal ones those that were made first go first.
func (j *join) order() {
	j.sort(&j.keys, &byAll)
	for i := 0; i < len(j.keys); {
		client, first := j.keys[i].number(), i
		for i++; i < len(j.keys) && j.keys[i].number() == client; i++ {
		}
		if run := j.keys[first:i]; len(run) > 1 {
			for i := range run {
				at := run[i].at()
				d := &j.drafts[at]
				run[i] = hostPort{d.to, d.port}.key(at)
			}
			sorted, _ := sortKeys(run, j.spareKeys[:len(run)], &byAll)
			for i := range sorted {
				run[i] = sortKey{client[0], client[1], client[2] | uint64(sorted[i].at())}
			}
		}
	}
}

// sort sorts one of the join's lists.
func (j *join) sort(keys *[]sortKey, by *sortBy) {
	j.spareKeys = slices.Grow(j.spareKeys[:0], len(*keys))
	*keys, j.spareKeys = sortKeys(*keys, j.spareKeys, by)
}

// A hostPort is an address and a port.
type hostPort struct {
	ip   ctmsg.IP
	port uint16
}

func hostPortOf(a netip.AddrPort) hostPort { return hostPort{ctmsg.IPOf(a.Addr()), a.Port()} }

func (p hostPort) addr() netip.AddrPort { return netip.AddrPortFrom(p.ip.Addr(), p.port) }

// key orders ends as netip does: IPv4 goes first.
func (p hostPort) key(at uint32) sortKey {
	k := sortKey{p.ip.Hi >> 1, p.ip.Hi<<63 | p.ip.Lo>>1, p.ip.Lo<<63 | uint64(p.port)<<32 | uint64(at)}
	if !p.ip.Is4() {
		k[0] |= 1 << 63
	}
	return k
}

// hostPort is the end that the key orders.
func (k *sortKey) hostPort() hostPort {
	return hostPort{ctmsg.IP{Hi: k[0]<<1 | k[1]>>63, Lo: k[1]<<1 | k[2]>>63}, uint16(k[2] >> 32)}
}
