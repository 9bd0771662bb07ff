package dnsmsg

import (
	"github.com/topotape/topotape/reporter/carry"
)

// Carry writes the incomplete datagrams and streams, or reads them into a new Assembler.
// Known reports whether there is a source with that number.
func (a *Assembler) Carry(c *carry.Coder, known func(source uint32) bool) {
	carry.Int(c, &a.at)
	carryStore(c, &a.fragments, func(d *datagram) (fragmentKey, int) {
		d.carry(c)
		c.Check(known(d.key.source))
		return d.key, d.bytes
	})
	carryStore(c, &a.streams, func(s *stream) (streamKey, int) {
		s.carry(c)
		c.Check(known(s.key.source))
		return s.key, s.bytes
	})
}

// carryStore carries the items of a store in their order. CarryOne carries one item, and
// returns its key and how many bytes it needs.
func carryStore[K comparable, V any](c *carry.Coder, s *store[K, V], carryOne func(*V) (key K, bytes int)) {
	n := s.order.Len()
	c.Len(&n, 8)
	c.Check(n <= s.maxItems)
	e := s.order.Front()
	for i := 0; i < n && c.OK(); i++ {
		if !c.Reading() {
			carryOne(e.Value.(*V))
			e = e.Next()
			continue
		}
		v := new(V)
		key, bytes := carryOne(v)
		c.Check(s.byKey[key] == nil)
		s.add(key, v)
		s.bytes += bytes
	}
	c.Check(s.bytes <= s.maxBytes)
}

func (d *datagram) carry(c *carry.Coder) {
	carry.Uint(c, &d.key.source)
	c.Addr(&d.key.src)
	c.Addr(&d.key.dst)
	carry.Uint(c, &d.key.id)
	carry.Uint(c, &d.key.proto)
	carry.Int(c, &d.at)
	c.Bools(&d.first)
	carry.Uint(c, &d.next)
	carry.Int(c, &d.length)
	carryPieces(c, &d.pieces)
	if !c.Reading() {
		return
	}
	end, length := 0, maxDatagram
	if d.length >= 0 {
		length = min(length, d.length)
	}
	for _, x := range d.pieces { // pieces must not overlap
		c.Check(int(x.at) >= end && int(x.at) <= length)
		end = int(x.at) + len(x.bytes)
		d.bytes += len(x.bytes) + pieceCost
	}
	c.Check(end <= length && d.length >= -1 && d.length <= maxDatagram)
}

func (s *stream) carry(c *carry.Coder) {
	carry.Uint(c, &s.key.source)
	c.AddrPort(&s.key.src)
	c.AddrPort(&s.key.dst)
	carry.Int(c, &s.at)
	c.Bools(&s.syn, &s.confirmed, &s.searching, &s.fin)
	for _, n := range [...]*uint32{&s.start, &s.next, &s.end} {
		carry.Uint(c, n)
	}
	c.Blob(&s.buf)
	carry.Int(c, &s.bufPackets)
	carryPieces(c, &s.pieces)
	carry.Int(c, &s.holeAt)
	if !c.Reading() {
		return
	}
	s.bytes = len(s.buf)
	for i, x := range s.pieces {
		c.Check(i == 0 || int32(x.at-s.pieces[i-1].at) >= 0)
		s.bytes += len(x.bytes) + pieceCost
	}
	c.Check(len(s.buf) <= lengthLen+0xffff && s.bufPackets >= 0 && s.bufPackets <= maxStreamBytes && len(s.pieces) <= maxPieces)
}

func carryPieces(c *carry.Coder, list *[]piece) {
	carry.List(c, list, 3, func(c *carry.Coder, p *piece) {
		carry.Uint(c, &p.at)
		c.Blob(&p.bytes)
		c.Check(len(p.bytes) > 0 && len(p.bytes) <= maxDatagram && len(*list) <= maxDatagram)
	})
}
