package wire

import (
	"bytes"
	"fmt"
	"io"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"
)

// A Coder writes fields as MessagePack (enc is set), reads into them (dec is
// set), or counts them (neither is set). Its methods get the fields one by one,
// in the order of the format. After the first error they do nothing.
type Coder struct {
	enc  *msgpack.Encoder
	dec  *msgpack.Decoder
	src  *bytes.Reader // input of dec, which does not buffer: its position is dec's
	data []byte        // all bytes of src
	left int           // decoding: elements left in the current array
	room int           // decoding: bytes of memory that lists may still take
	n    int           // counting: fields so far
	err  error
}

// Append appends an array of the fields that fields passes to the coder.
func Append(b []byte, fields func(*Coder)) []byte {
	out := bytes.NewBuffer(b)
	c := &Coder{enc: msgpack.NewEncoder(out)}
	c.enc.UseCompactInts(true)
	c.object(fields)
	return out.Bytes()
}

const (
	// maxLists bounds the memory of the lists of one payload, in bytes: an element
	// of one byte on tape can take a hundred in memory.
	maxLists = 16 << 20
	textSize = 48 // of the text of a list's element, which is in no list
	// maxString bounds a String and maxText a Text, in bytes: readers keep many of
	// them, and a long one takes little room on a compressed tape.
	maxString = 4 << 10
	maxText   = 64 << 10
)

// Decode reads data, which is one array, into the fields that fields passes to
// the coder. Byte slices point into data.
func Decode(data []byte, fields func(*Coder)) error {
	src := bytes.NewReader(data)
	c := &Coder{dec: msgpack.NewDecoder(src), src: src, data: data, room: maxLists}
	c.left = 1
	c.object(fields)
	if c.err == nil && src.Len() != 0 {
		c.err = fmt.Errorf("%d bytes follow the value", src.Len())
	}
	if c.err == io.EOF || c.err == io.ErrUnexpectedEOF {
		c.err = errShort
	}
	return c.err
}

// object codes one array with the fields that body passes to the coder.
func (c *Coder) object(body func(*Coder)) {
	if c.err != nil {
		return
	}
	switch {
	case c.enc != nil:
		count := &Coder{}
		body(count)
		c.err = c.enc.EncodeArrayLen(count.n)
		body(c)
	case c.dec != nil:
		n := c.arrayLen()
		outer := c.left
		c.left = n
		body(c)
		for ; c.left > 0 && c.err == nil; c.left-- {
			c.skip()
		}
		c.left = outer
	}
}

// next counts a field and reports whether the caller must code it: not after an
// error, not when counting, and not when decoding an array that lacks the field.
func (c *Coder) next() bool {
	c.n++
	if c.err != nil || c.enc == nil && c.dec == nil {
		return false
	}
	if c.dec != nil {
		if c.left == 0 {
			return false
		}
		c.left--
	}
	return true
}

func (c *Coder) arrayLen() int {
	n, short := c.shortArray()
	if !short {
		var err error
		if n, err = c.dec.DecodeArrayLen(); err != nil {
			c.err = err
			return 0
		}
	}
	if n < 0 || n > c.src.Len() { // an element takes a byte at least
		c.err = fmt.Errorf("array of %d elements in %d bytes", n, c.src.Len())
		return 0
	}
	return n
}

// shortArray reads the length of an array of up to 15 elements, which is one byte: a list can have
// millions of them, and the library takes five times as long.
func (c *Coder) shortArray() (n int, ok bool) {
	b, err := c.src.ReadByte()
	if err != nil {
		return 0, false
	}
	if b&0xf0 != 0x90 {
		c.src.UnreadByte()
		return 0, false
	}
	return int(b & 0x0f), true
}

func (c *Coder) skip() {
	at := len(c.data) - c.src.Len()
	n, err := ValueLen(c.data[at:])
	if err != nil {
		c.err = err
		return
	}
	_, c.err = c.src.Seek(int64(n), io.SeekCurrent)
}

func (c *Coder) Uint64(p *uint64) {
	if !c.next() {
		return
	}
	if c.enc != nil {
		c.err = c.enc.EncodeUint(*p)
		return
	}
	*p, c.err = c.dec.DecodeUint64()
}

func (c *Coder) Int64(p *int64) {
	if !c.next() {
		return
	}
	if c.enc != nil {
		c.err = c.enc.EncodeInt(*p)
		return
	}
	*p, c.err = c.dec.DecodeInt64()
}

// LaterInt64 is Int64 for the last field of an array, which a later version added. It is
// not written while it is zero: the bytes are then those of the older version.
func (c *Coder) LaterInt64(p *int64) {
	if *p != 0 || c.dec != nil {
		c.Int64(p)
	}
}

// LaterUint64 is Uint64 for such a field.
func (c *Coder) LaterUint64(p *uint64) {
	if *p != 0 || c.dec != nil {
		c.Uint64(p)
	}
}

func (c *Coder) Uint32(p *uint32) { narrow(c, p, 1<<32-1) }
func (c *Coder) Uint8(p *uint8)   { narrow(c, p, 1<<8-1) }

func narrow[T uint8 | uint32](c *Coder, p *T, limit uint64) {
	v := uint64(*p)
	c.Uint64(&v)
	if v > limit {
		c.err = fmt.Errorf("%d is over %d", v, limit)
		return
	}
	*p = T(v)
}

func (c *Coder) Bool(p *bool) {
	var v uint64
	if *p {
		v = 1
	}
	c.Uint64(&v)
	*p = v != 0
}

// Bytes codes a binary. The decoded slice points into data.
func (c *Coder) Bytes(p *[]byte) {
	if !c.next() {
		return
	}
	if c.enc != nil {
		b := *p
		if b == nil {
			b = []byte{}
		}
		c.err = c.enc.EncodeBytes(b)
		return
	}
	*p = c.span()
}

// String codes a name or another short text.
func (c *Coder) String(p *string) { c.text(p, maxString) }

// Text codes what a person or another program wrote.
func (c *Coder) Text(p *string) { c.text(p, maxText) }

// Name codes a name from the network, of any length: whoever keeps names bounds them.
func (c *Coder) Name(p *string) { c.text(p, len(c.data)) }

// text codes a string. It decodes none that is longer than limit.
func (c *Coder) text(p *string, limit int) {
	if !c.next() {
		return
	}
	if c.enc != nil {
		c.err = c.enc.EncodeString(*p)
		return
	}
	b := c.span()
	if len(b) > limit {
		c.err = fmt.Errorf("text of %d bytes, more than %d KiB", len(b), limit>>10)
		return
	}
	*p = string(b)
}

// Fixed codes a binary of a known length.
func (c *Coder) Fixed(p []byte) {
	if !c.next() {
		return
	}
	if c.enc != nil {
		c.err = c.enc.EncodeBytes(p)
		return
	}
	b := c.span()
	if c.err == nil && len(b) != len(p) {
		c.err = fmt.Errorf("binary of %d bytes where %d are expected", len(b), len(p))
		return
	}
	copy(p, b)
}

// span returns the bytes of the next binary or string. It checks the length
// before it uses it.
func (c *Coder) span() []byte {
	n, err := c.dec.DecodeBytesLen()
	if err != nil {
		c.err = err
		return nil
	}
	if n <= 0 {
		return nil
	}
	if n > c.src.Len() {
		c.err = fmt.Errorf("value of %d bytes in %d", n, c.src.Len())
		return nil
	}
	at := len(c.data) - c.src.Len()
	_, c.err = c.src.Seek(int64(n), io.SeekCurrent)
	return c.data[at : at+n : at+n]
}

// List codes an array of objects.
func List[T any](c *Coder, p *[]T, fields func(*T, *Coder)) {
	if !c.next() {
		return
	}
	if c.enc != nil {
		c.err = c.enc.EncodeArrayLen(len(*p))
		for i := range *p {
			c.object(func(c *Coder) { fields(&(*p)[i], c) })
		}
		return
	}
	elements(c, p, func(e *T) { c.object(func(c *Coder) { fields(e, c) }) })
}

// Values codes an array of plain values.
func Values[T any](c *Coder, p *[]T, value func(*Coder, *T)) {
	if !c.next() {
		return
	}
	if c.enc != nil {
		c.err = c.enc.EncodeArrayLen(len(*p))
		for i := range *p {
			value(c, &(*p)[i])
		}
		return
	}
	elements(c, p, func(e *T) { value(c, e) })
}

// elements decodes an array; read decodes one element.
func elements[T any](c *Coder, p *[]T, read func(*T)) {
	n := c.arrayLen()
	outer := c.left
	c.left = n
	*p = nil
	size := int(reflect.TypeFor[T]().Size())
	if reflect.TypeFor[T]().Kind() == reflect.String {
		size += textSize
	}
	if n > 0 {
		if c.room -= n * size; c.room < 0 {
			c.err = fmt.Errorf("lists of more than %d MiB", maxLists>>20)
			return
		}
		*p = make([]T, n)
	}
	for i := 0; i < n && c.err == nil; i++ {
		c.left = 1
		read(&(*p)[i])
	}
	c.left = outer
}
