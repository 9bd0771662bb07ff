package carry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// A Coder writes the values that it is shown, or reads into them.
type Coder struct {
	buf     []byte // written, or still to be read
	size    int    // of what there was to read
	reading bool
	bad     bool
}

// NewWriter returns a Coder that writes.
func NewWriter() *Coder { return new(Coder) }

// NewReader returns a Coder that reads what one wrote. Strings and lists are
// copied out of b.
func NewReader(b []byte) *Coder { return &Coder{buf: b, size: len(b), reading: true} }

// Reading reports whether values are read, not written.
func (c *Coder) Reading() bool { return c.reading }

// Bytes is what was written.
func (c *Coder) Bytes() []byte { return c.buf }

// Check says what must be true of what was read, and of what is written.
func (c *Coder) Check(ok bool) {
	if !ok && !c.bad {
		c.bad, c.size, c.buf = true, c.size-len(c.buf), nil
	}
}

// OK reports whether all Checks held, and all that was to be read was there.
func (c *Coder) OK() bool { return !c.bad }

var errLeft = errors.New("more stands behind the state")

// Err is what is wrong with what was read, once everything should have been.
func (c *Coder) Err() error {
	switch {
	case c.bad:
		return fmt.Errorf("byte %d of the state makes no sense", c.size)
	case c.reading && len(c.buf) > 0:
		return errLeft
	}
	return nil
}

func (c *Coder) uvarint() uint64 {
	v, n := binary.Uvarint(c.buf)
	if n <= 0 {
		c.Check(false)
		return 0
	}
	c.buf = c.buf[n:]
	return v
}

// Uint is an unsigned number.
func Uint[T ~uint8 | ~uint16 | ~uint32 | ~uint64](c *Coder, p *T) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, uint64(*p))
		return
	}
	v := c.uvarint()
	*p = T(v)
	c.Check(uint64(*p) == v)
}

// Int is a signed number.
func Int[T ~int | ~int32 | ~int64](c *Coder, p *T) {
	if !c.reading {
		c.buf = binary.AppendVarint(c.buf, int64(*p))
		return
	}
	u := c.uvarint()
	v := int64(u>>1) ^ -int64(u&1)
	*p = T(v)
	c.Check(int64(*p) == v)
}

// Bools is up to 16 flags in one number.
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

// Len is how many things follow, each of which takes least bytes or more.
func (c *Coder) Len(n *int, least int) {
	v := uint64(*n)
	Uint(c, &v)
	if !c.reading {
		return
	}
	if v > uint64(len(c.buf)/least) {
		c.Check(false)
		v = 0
	}
	*n = int(v)
}

// String is text or bytes.
func (c *Coder) String(p *string) {
	n := len(*p)
	c.Len(&n, 1)
	if !c.reading {
		c.buf = append(c.buf, *p...)
		return
	}
	*p = string(c.take(n))
}

// Blob is bytes; nil where there are none.
func (c *Coder) Blob(p *[]byte) {
	n := len(*p)
	c.Len(&n, 1)
	if !c.reading {
		c.buf = append(c.buf, *p...)
		return
	}
	*p = append([]byte(nil), c.take(n)...)
}

// take reads n bytes, which are there.
func (c *Coder) take(n int) []byte {
	b := c.buf[:n]
	c.buf = c.buf[n:]
	return b
}

// List is a list of things, each of which takes least bytes or more; nil where
// there are none.
func List[T any](c *Coder, p *[]T, least int, each func(*Coder, *T)) {
	n := len(*p)
	c.Len(&n, least)
	if c.reading {
		*p = nil
		if n > 0 {
			*p = make([]T, n)
		}
	}
	for i := range *p {
		each(c, &(*p)[i])
	}
}

// The kinds of addresses.
const (
	addrNone  = 0
	addr4     = 1
	addr6     = 2
	addrZoned = 3
)

// Addr is an address, which may be none.
func (c *Coder) Addr(p *netip.Addr) {
	if !c.reading {
		c.buf = appendAddr(c.buf, *p)
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
	c.Check(n > 0 && n <= len(c.buf))
	if !c.OK() {
		*p = netip.Addr{}
		return
	}
	*p, _ = netip.AddrFromSlice(c.take(n))
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

// AddrPort is an address, which may be none, and a port.
func (c *Coder) AddrPort(p *netip.AddrPort) {
	addr, port := p.Addr(), p.Port()
	c.Addr(&addr)
	Uint(c, &port)
	if c.reading {
		*p = netip.AddrPortFrom(addr, port)
	}
}

// Prefix is a network.
func (c *Coder) Prefix(p *netip.Prefix) {
	addr, bits := p.Addr(), p.Bits()
	c.Addr(&addr)
	Int(c, &bits)
	if c.reading {
		*p = netip.PrefixFrom(addr, bits)
		c.Check(p.IsValid())
	}
}
