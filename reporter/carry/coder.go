package carry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// A Coder writes the values that it gets, or reads into them.
type Coder struct {
	state   *State
	buf     []byte // written after the last part, or read up to the next part
	next    int    // reading: index of the next part
	read    int    // bytes of the parts before that one
	reading bool
	bad     bool
}

// NewWriter returns a Coder that writes.
func NewWriter() *Coder { return &Coder{state: new(State)} }

// NewReader returns a Coder that reads what one wrote.
func NewReader(s *State) *Coder { return &Coder{state: s, reading: true} }

// Reading reports whether the Coder reads.
func (c *Coder) Reading() bool { return c.reading }

// State returns what was written. Nothing can be written afterwards.
func (c *Coder) State() *State {
	if len(c.buf) > 0 {
		c.state.Add(c.buf)
		c.buf = nil
	}
	return c.state
}

// wrote moves full parts to the state. It fails the Coder if the state is too large.
func (c *Coder) wrote() {
	for len(c.buf) >= partSize {
		c.state.Add(c.buf[:partSize])
		c.buf = append(c.buf[:0], c.buf[partSize:]...)
	}
	c.Check(c.state.size+len(c.buf) <= maxSize)
}

// left returns how many bytes are still to be read.
func (c *Coder) left() int { return len(c.buf) + c.state.size - c.read }

// need makes n bytes available in buf, if there are so many left.
func (c *Coder) need(n int) {
	for len(c.buf) < n && c.next < len(c.state.parts) {
		part := c.state.parts[c.next]
		buf := append(make([]byte, 0, len(c.buf)+part.Len()), c.buf...)
		c.buf = c.state.packer.Append(buf, part)
		c.next++
		c.read += part.Len()
	}
}

// Check fails the Coder if ok is false: if a value is impossible.
func (c *Coder) Check(ok bool) {
	if !ok && !c.bad {
		c.bad = true
		c.read, c.buf, c.next = c.read-len(c.buf), nil, len(c.state.parts)
	}
}

// OK reports whether every Check succeeded, and no input was missing.
func (c *Coder) OK() bool { return !c.bad }

var errLeft = errors.New("there are bytes after the state")

// Err returns what is wrong with the input. Call it when everything has been read.
func (c *Coder) Err() error {
	switch {
	case c.bad:
		return fmt.Errorf("invalid state at byte %d", c.read)
	case c.reading && c.left() > 0:
		return errLeft
	}
	return nil
}

func (c *Coder) uvarint() uint64 {
	c.need(binary.MaxVarintLen64)
	v, n := binary.Uvarint(c.buf)
	if n <= 0 {
		c.Check(false)
		return 0
	}
	c.buf = c.buf[n:]
	return v
}

// Uint codes an unsigned number.
func Uint[T ~uint8 | ~uint16 | ~uint32 | ~uint64](c *Coder, p *T) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, uint64(*p))
		c.wrote()
		return
	}
	v := c.uvarint()
	*p = T(v)
	c.Check(uint64(*p) == v)
}

// Int codes a signed number.
func Int[T ~int | ~int32 | ~int64](c *Coder, p *T) {
	if !c.reading {
		c.buf = binary.AppendVarint(c.buf, int64(*p))
		c.wrote()
		return
	}
	u := c.uvarint()
	v := int64(u>>1) ^ -int64(u&1)
	*p = T(v)
	c.Check(int64(*p) == v)
}

// Bools codes up to 16 flags as one number.
func (c *Coder) Bools(flags ...*bool) {
	var v uint16
	if !c.reading {
		for i, p := range flags {
			if *p {
				v |= 1 << i
			}
		}
	}
	Uint(c, &v)
	c.Check(v>>len(flags) == 0)
	if c.reading {
		for i, p := range flags {
			*p = v>>i&1 != 0
		}
	}
}

// Len codes a number of items. Each item takes at least least bytes.
func (c *Coder) Len(n *int, least int) {
	v := uint64(*n)
	Uint(c, &v)
	if !c.reading {
		return
	}
	if c.bad || v > uint64(c.left()/least) {
		c.Check(false)
		v = 0
	}
	*n = int(v)
}

// Bounds of what is read at once, in bytes: a String, and a Name or a Blob.
const (
	maxString = 4 << 10
	maxBlob   = 8 << 20
)

// String codes a short string.
func (c *Coder) String(p *string) {
	c.Check(len(*p) <= maxString)
	c.Name(p)
	c.Check(len(*p) <= maxString)
}

// Name codes a string that may be long.
func (c *Coder) Name(p *string) {
	n := len(*p)
	c.Len(&n, 1)
	if !c.reading {
		c.buf = append(c.buf, *p...)
		c.wrote()
		return
	}
	c.Check(n <= maxBlob)
	*p = string(c.cut(n))
}

// Blob codes bytes. It reads an empty slice as nil.
func (c *Coder) Blob(p *[]byte) {
	n := len(*p)
	c.Len(&n, 1)
	if !c.reading {
		c.buf = append(c.buf, *p...)
		c.wrote()
		return
	}
	c.Check(n <= maxBlob)
	*p = append([]byte(nil), c.cut(n)...)
}

// cut cuts off n bytes, which must be there.
func (c *Coder) cut(n int) []byte {
	if c.need(n); !c.OK() {
		return nil
	}
	b := c.buf[:n]
	c.buf = c.buf[n:]
	return b
}

// List codes a list of items. Each item takes at least least bytes. It reads an empty list as
// nil. The list grows with the items, so that a Check of an item ends it.
func List[T any](c *Coder, p *[]T, least int, each func(*Coder, *T)) {
	n := len(*p)
	c.Len(&n, least)
	if !c.reading {
		for i := range *p {
			each(c, &(*p)[i])
		}
		return
	}
	*p = nil
	for i := 0; i < n && c.OK(); i++ {
		var item T
		each(c, &item)
		*p = append(*p, item)
	}
	*p = slices.Clip(*p)
}

// The kinds of addresses.
const (
	addrNone  = 0
	addr4     = 1
	addr6     = 2
	addrZoned = 3
)

// Addr codes an address, which may be the zero Addr.
func (c *Coder) Addr(p *netip.Addr) {
	if !c.reading {
		c.buf = appendAddr(c.buf, *p)
		c.wrote()
		return
	}
	kind := uint8(0)
	Uint(c, &kind)
	n := 0
	switch kind {
	case addrNone:
		*p = netip.Addr{}
		return
	case addr4:
		n = 4
	case addr6, addrZoned:
		n = 16
	}
	c.Check(n > 0 && n <= c.left())
	if !c.OK() {
		*p = netip.Addr{}
		return
	}
	*p, _ = netip.AddrFromSlice(c.cut(n))
	if kind == addrZoned {
		zone := ""
		c.String(&zone)
		*p = p.WithZone(zone)
	}
}

func appendAddr(b []byte, a netip.Addr) []byte {
	switch {
	case !a.IsValid():
		return append(b, addrNone)
	case a.Is4():
		raw := a.As4()
		return append(append(b, addr4), raw[:]...)
	}
	raw := a.As16()
	if a.Zone() == "" {
		return append(append(b, addr6), raw[:]...)
	}
	b = append(append(b, addrZoned), raw[:]...)
	b = binary.AppendUvarint(b, uint64(len(a.Zone())))
	return append(b, a.Zone()...)
}

// AddrPort codes an address, which may be the zero Addr, and a port.
func (c *Coder) AddrPort(p *netip.AddrPort) {
	addr, port := p.Addr(), p.Port()
	c.Addr(&addr)
	Uint(c, &port)
	if c.reading {
		*p = netip.AddrPortFrom(addr, port)
	}
}

// Prefix codes a network.
func (c *Coder) Prefix(p *netip.Prefix) {
	addr, bits := p.Addr(), p.Bits()
	c.Addr(&addr)
	Int(c, &bits)
	if c.reading {
		*p = netip.PrefixFrom(addr, bits)
		c.Check(p.IsValid())
	}
}
