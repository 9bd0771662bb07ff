package dnsmsg

import (
	"net/netip"
	"slices"
)

// Bounds of what is held of datagrams that are not whole.
const (
	maxDatagrams     = 256
	maxDatagramBytes = 1 << 20
	maxDatagram      = 0xffff // body of one
	pieceCost        = 64     // bytes that a piece takes beside its own
)

// fragmentKey is what the fragments of one datagram have in common.
type fragmentKey struct {
	source   uint32
	src, dst netip.Addr
	id       uint32
	proto    uint8 // IPv4 only (RFC 791, RFC 8200 section 4.5)
}

// A datagram of which some fragments have come.
type datagram struct {
	key    fragmentKey
	at     int64   // of the last one
	first  bool    // the first one is there: it has the port of DNS, or it would not have been captured
	next   uint8   // what the body begins with, once first
	length int     // of the whole body, once the last one is there; else -1
	pieces []piece // by place, none overlapping
	bytes  int     // pieces hold that much
}

// A piece of a datagram or a stream.
type piece struct {
	at    uint32 // offset in the datagram, or sequence number
	bytes []byte
}

// fragment takes the fragment in a.packet. One that was not captured in full makes its datagram impossible.
func (a *Assembler) fragment(source uint32, truncated bool) {
	p := &a.packet
	key := fragmentKey{source: source, src: p.Src.Addr(), dst: p.Dst.Addr(), id: p.Fragment.ID}
	if key.src.Is4() {
		key.proto = p.Fragment.Next
	}
	d := a.fragments.touch(key)
	if d == nil {
		d = &datagram{key: key, length: -1}
		a.fragments.add(key, d)
	}
	d.at = a.at
	had := d.bytes
	known, good := false, false
	if !truncated {
		known, good = d.add(p)
	}
	a.fragments.bytes += d.bytes - had
	switch {
	case !good:
		d.first = d.first || p.Fragment.Offset == 0
		a.dropDatagram(d)
		a.settle(source, 1, undecodable)
		return
	case known:
		a.settle(source, 1, ignored)
		return
	}
	if !d.whole() {
		a.evictDatagrams(d)
		return
	}
	a.fragments.remove(key, d.bytes)
	body := make([]byte, 0, d.length)
	for _, x := range d.pieces {
		body = append(body, x.bytes...)
	}
	switch err := p.Transport(d.next, body); {
	case err == ErrProtocol:
		a.settle(source, len(d.pieces), ignored)
	case err != nil || p.IsFragment():
		a.settle(source, len(d.pieces), undecodable)
	default:
		a.transport(source, len(d.pieces))
	}
}

// add puts a fragment in its place. It is known if it had come already; a capture on several interfaces shows each
// several times. It is no good if it overlaps another one (RFC 5722), or contradicts what the last one said.
func (d *datagram) add(p *Packet) (known, good bool) {
	from, end := p.Fragment.Offset, p.Fragment.Offset+len(p.Body)
	i, found := slices.BinarySearchFunc(d.pieces, uint32(from), func(x piece, at uint32) int { return int(x.at) - int(at) })
	if found && len(d.pieces[i].bytes) == len(p.Body) {
		return true, true
	}
	switch {
	case found, end > maxDatagram, len(p.Body) == 0,
		i > 0 && int(d.pieces[i-1].at)+len(d.pieces[i-1].bytes) > from,
		i < len(d.pieces) && int(d.pieces[i].at) < end,
		d.length >= 0 && (end > d.length || !p.Fragment.More),
		!p.Fragment.More && i < len(d.pieces):
		return false, false
	}
	if !p.Fragment.More {
		d.length = end
	}
	if from == 0 {
		d.first, d.next = true, p.Fragment.Next
	}
	d.pieces = slices.Insert(d.pieces, i, piece{uint32(from), slices.Clone(p.Body)})
	d.bytes += len(p.Body) + pieceCost
	return false, true
}

// whole says that nothing is missing: pieces do not overlap, so their lengths tell.
func (d *datagram) whole() bool { return d.length >= 0 && d.bytes == d.length+len(d.pieces)*pieceCost }

// evictDatagrams makes room for the one that was just touched. Datagrams without a first fragment go before those of
// which it is known that they are DNS.
func (a *Assembler) evictDatagrams(last *datagram) {
	for a.fragments.full() {
		out := a.fragments.oldest()
		for e := a.fragments.order.Front(); e != nil; e = e.Next() {
			if d := e.Value.(*datagram); !d.first && d != last {
				out = d
				break
			}
		}
		a.dropDatagram(out)
	}
}

func (a *Assembler) dropDatagram(d *datagram) {
	a.fragments.remove(d.key, d.bytes)
	if d.first {
		a.settle(d.key.source, len(d.pieces), undecodable)
	} else {
		a.settle(d.key.source, len(d.pieces), ignored)
	}
}
