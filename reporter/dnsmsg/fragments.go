package dnsmsg

import (
	"net/netip"
	"slices"
)

// Bounds of the incomplete datagrams.
const (
	maxDatagrams     = 256
	maxDatagramBytes = 1 << 20
	maxDatagram      = 0xffff // body of one
	pieceCost        = 64     // memory that a piece needs in addition to its bytes
)

// fragmentKey identifies the datagram of a fragment.
type fragmentKey struct {
	source   uint32
	src, dst netip.Addr
	id       uint32
	proto    uint8 // IPv4 only (RFC 791, RFC 8200 section 4.5)
}

// A datagram is an incomplete datagram.
type datagram struct {
	key    fragmentKey
	at     int64   // of the packet that came last
	first  bool    // the first fragment came: its port is the port of DNS, or it would not have been captured
	next   uint8   // protocol number of the body's first header, if the first fragment came
	length int     // of the whole body; -1 until the last fragment comes
	pieces []piece // sorted by offset, without overlaps
	bytes  int     // memory that pieces need
}

// A piece of a datagram or a stream.
type piece struct {
	at    uint32 // offset in the datagram, or sequence number
	bytes []byte
}

// fragment adds the fragment in a.packet to its datagram. A fragment that was not captured in full drops the datagram.
func (a *Assembler) fragment(source uint32, truncated bool) {
	p := &a.packet
	key := fragmentKey{source: source, src: p.Src.Addr(), dst: p.Dst.Addr(), id: p.fragment.id}
	if key.src.Is4() {
		key.proto = p.fragment.next
	}
	d := a.fragments.use(key)
	if d == nil {
		d = &datagram{key: key, length: -1}
		a.fragments.add(key, d)
	}
	d.at = a.at
	before := d.bytes
	repeated, fits := false, false
	if !truncated {
		repeated, fits = d.add(p)
	}
	a.fragments.bytes += d.bytes - before
	switch {
	case !fits:
		d.first = d.first || p.fragment.offset == 0
		a.removeDatagram(d)
		a.countPackets(source, 1, undecodable)
		return
	case repeated:
		a.countPackets(source, 1, ignored)
		return
	}
	if !d.complete() {
		a.evictDatagrams(d)
		return
	}
	a.fragments.remove(key, d.bytes)
	body := make([]byte, 0, d.length)
	for _, x := range d.pieces {
		body = append(body, x.bytes...)
	}
	switch err := p.reassembled(d.next, body); {
	case err == ErrProtocol:
		a.countPackets(source, len(d.pieces), ignored)
	case err != nil || p.IsFragment():
		a.countPackets(source, len(d.pieces), undecodable)
	default:
		a.transport(source, len(d.pieces))
	}
}

// add adds a fragment. A fragment is repeated if the same one came before: a capture on several interfaces shows each
// fragment several times. It does not fit if it overlaps another one (RFC 5722), or contradicts the length of the datagram.
func (d *datagram) add(p *Packet) (repeated, fits bool) {
	from, end := p.fragment.offset, p.fragment.offset+len(p.fragment.body)
	i, found := slices.BinarySearchFunc(d.pieces, uint32(from), func(x piece, at uint32) int { return int(x.at) - int(at) })
	if found && len(d.pieces[i].bytes) == len(p.fragment.body) {
		return true, true
	}
	switch {
	case found, end > maxDatagram, len(p.fragment.body) == 0,
		i > 0 && int(d.pieces[i-1].at)+len(d.pieces[i-1].bytes) > from,
		i < len(d.pieces) && int(d.pieces[i].at) < end,
		d.length >= 0 && (end > d.length || !p.fragment.more),
		!p.fragment.more && i < len(d.pieces):
		return false, false
	}
	if !p.fragment.more {
		d.length = end
	}
	if from == 0 {
		d.first, d.next = true, p.fragment.next
	}
	d.pieces = slices.Insert(d.pieces, i, piece{uint32(from), slices.Clone(p.fragment.body)})
	d.bytes += len(p.fragment.body) + pieceCost
	return false, true
}

// complete reports that no fragment is missing. Pieces do not overlap, so it is enough to compare lengths.
func (d *datagram) complete() bool {
	return d.length >= 0 && d.bytes == d.length+len(d.pieces)*pieceCost
}

// evictDatagrams removes datagrams until there is room for the last one. It removes datagrams without a first fragment
// first: the others are DNS.
func (a *Assembler) evictDatagrams(last *datagram) {
	for a.fragments.full() {
		victim := a.fragments.oldest()
		for e := a.fragments.order.Front(); e != nil; e = e.Next() {
			if d := e.Value.(*datagram); !d.first && d != last {
				victim = d
				break
			}
		}
		a.removeDatagram(victim)
	}
}

func (a *Assembler) removeDatagram(d *datagram) {
	a.fragments.remove(d.key, d.bytes)
	if d.first {
		a.countPackets(d.key.source, len(d.pieces), undecodable)
	} else {
		a.countPackets(d.key.source, len(d.pieces), ignored)
	}
}
