package reporter

import (
	"encoding/binary"
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

// An otherDraft has an end that is not of IPv4. Its text orders it as the
// addresses and ports of its ends do.
type otherDraft struct {
	text [2 * hostPortText]byte
	at   uint32
}

// draft drafts one connection.
func (j *join) draft(l *chain, d draft, h endHashes) {
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
		j.keys = append(j.keys, sortKey{a<<16 | b>>32, b << 32, at})
	} else {
		x := otherDraft{at: at}
		from.put(x.text[:])
		to.put(x.text[hostPortText:])
		j.others = append(j.others, x)
	}
}

// order sorts the drafts by their ends; of equal ones those that were made first
// go first. Those of IPv4 are sorted by numbers, the others by texts.
func (j *join) order() {
	j.spareKeys = slices.Grow(j.spareKeys[:0], len(j.keys))
	j.keys, j.spareKeys = sortKeys(j.keys, j.spareKeys)
	j.turns = slices.Grow(j.turns[:0], len(j.drafts))
	others := j.orderOthers()
	for i := range j.keys {
		for len(others) > 0 && j.others[others[0].at].before(&j.keys[i]) {
			j.turns = append(j.turns, j.others[others[0].at].at)
			others = others[1:]
		}
		j.turns = append(j.turns, j.keys[i].at)
	}
	for i := range others {
		j.turns = append(j.turns, j.others[others[i].at].at)
	}
	j.keys, j.otherKeys = j.keys[:0], j.otherKeys[:0]
}

// orderOthers sorts the other drafts: places among them.
func (j *join) orderOthers() []sortKey {
	j.otherKeys = slices.Grow(j.otherKeys[:0], len(j.others))
	for i := range j.others {
		j.otherKeys = append(j.otherKeys, sortKey{at: uint32(i)})
	}
	j.spareKeys = slices.Grow(j.spareKeys[:0], len(j.others))
	j.otherKeys, j.spareKeys = sortTexts(j.otherKeys, j.spareKeys, func(at uint32) []byte { return j.others[at].text[:] })
	return j.otherKeys
}

// A hostPort is an address and a port.
type hostPort struct {
	ip   ctmsg.IP
	port uint16
}

func hostPortOf(a netip.AddrPort) hostPort { return hostPort{ctmsg.IPOf(a.Addr()), a.Port()} }

// number orders those of IPv4.
func (p hostPort) number() uint64 { return uint64(uint32(p.ip.Lo))<<16 | uint64(p.port) }

// hostPortText is the length of a text that orders ends as netip does: IPv4 goes
// first.
const hostPortText = 1 + 16 + 2

func (p hostPort) put(b []byte) {
	b[0] = 6
	if p.ip.Is4() {
		b[0] = 4
	}
	binary.BigEndian.PutUint64(b[1:], p.ip.Hi)
	binary.BigEndian.PutUint64(b[9:], p.ip.Lo)
	binary.BigEndian.PutUint16(b[17:], p.port)
}

// before reports whether it goes before one with ends of IPv4 only.
func (d *otherDraft) before(k *sortKey) bool {
	from := uint64(binary.BigEndian.Uint32(d.text[13:]))<<16 | uint64(binary.BigEndian.Uint16(d.text[17:]))
	return d.text[0] == 4 && from < k.hi>>16
}
