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
	aliases, shown int32  // where its aliases are among the join's, and how many
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
	long           bool // several flows translate
}

type draftKind uint8

const (
	ofFlow draftKind = iota
	ofChain
	ofRows   // which is the client's is not known yet
	ofClosed // rows
)

// path is that of which a draft was made.
func (j *join) path(d *draft) []*flow {
	if d.kind == ofChain {
		_, path := j.linker.chain(int(d.at))
		return path
	}
	j.single[0] = j.c.flows.at(d.at)
	return j.single[:]
}

// draft drafts one connection.
func (j *join) draft(l *heard, path []*flow, kind draftKind, at int32, h endHashes) {
	first, last := path[0], path[len(path)-1]
	d := added(&j.drafts)
	*d = draft{kind: kind, at: at}
	d.client = j.socket(first, &first.key.orig, 0, h.client)
	d.server = j.socket(last, &last.reply, 1, h.server)
	if !l.edge && d.client < 0 && d.server < 0 { // half open
		j.drafts = j.drafts[:len(j.drafts)-1]
		return
	}
	d.kept = first.kept || last.kept
	from, to := hostPort{first.key.orig.SrcIP, first.key.orig.SrcPort}, hostPort{last.reply.SrcIP, last.reply.SrcPort}
	if d.handshake = l.handshake; !d.handshake {
		j.sides(d, from, to)
		d.listener, d.swapped = j.listener(first, &j.ends[0], &j.ends[1])
	}
	d.first, d.last, d.state, d.hasState, d.closed, d.hidden = l.first, l.last, l.state, l.hasState, l.closed, l.hidden
	for _, row := range [...]int32{d.client, d.server} {
		if row >= 0 && !d.closed {
			d.hidden = d.hidden && j.c.sockets.rows[row].table.at.seq < l.gap
		}
	}
	d.aliases, d.long = int32(len(j.shown)), len(path) > 1
	if first.nat {
		for _, f := range path {
			j.show(f)
		}
		d.shown = int32(len(j.shown)) - d.aliases
	}
	if d.swapped {
		from, to = to, from
	}
	j.note(d, from, to)
}

// An alias is what a translation shows in place of one of its ends.
type alias struct {
	hostPort
	reply bool // in place of the end from which the replies come
}

// show lists the aliases of a translating flow: most often one end stays as it is.
func (j *join) show(f *flow) {
	j.translations++
	orig, reply := &f.key.orig, &f.reply
	if reply.DstIP != orig.SrcIP || reply.DstPort != orig.SrcPort {
		a := added(&j.shown)
		a.ip, a.port, a.reply = reply.DstIP, reply.DstPort, false
	}
	if reply.SrcIP != orig.DstIP || reply.SrcPort != orig.DstPort {
		a := added(&j.shown)
		a.ip, a.port, a.reply = orig.DstIP, orig.DstPort, true
	}
}

// draftRows drafts a connection of which only rows tell: c is what will be made of
// them, again when its turn comes, for to keep it until then takes more memory
// than the rest of the report's making.
func (j *join) draftRows(kind draftKind, at, client, server int32, c *Connection) {
	d := added(&j.drafts)
	*d = draft{kind: kind, at: at, client: client, server: server}
	j.note(d, hostPortOf(c.From.Addr), hostPortOf(c.To.Addr))
}

// note notes the last draft's ends, for sorting.
func (j *join) note(d *draft, from, to hostPort) {
	d.to, d.port = to.ip, to.port
	from.order(added(&j.keys), uint32(len(j.drafts)-1))
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
				hostPort{d.to, d.port}.order(&run[i], at)
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

// A lastAddr is an address that may well come again.
type lastAddr struct {
	ip   ctmsg.IP
	addr netip.Addr
}

func (l *lastAddr) of(p hostPort) netip.AddrPort {
	if l.ip != p.ip || !l.addr.IsValid() {
		l.ip, l.addr = p.ip, p.ip.Addr()
	}
	return netip.AddrPortFrom(l.addr, p.port)
}

// order makes a key that orders ends as netip does: IPv4 goes first.
func (p hostPort) order(k *sortKey, at uint32) {
	k[0], k[1], k[2] = p.ip.Hi>>1, p.ip.Hi<<63|p.ip.Lo>>1, p.ip.Lo<<63|uint64(p.port)<<32|uint64(at)
	if !p.ip.Is4() {
		k[0] |= 1 << 63
	}
}

// hostPort is the end that the key orders.
func (k *sortKey) hostPort() hostPort {
	return hostPort{ctmsg.IP{Hi: k[0]<<1 | k[1]>>63, Lo: k[1]<<1 | k[2]>>63}, uint16(k[2] >> 32)}
}
