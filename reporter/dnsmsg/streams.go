package dnsmsg

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Bounds of what is held of TCP streams.
const (
	maxStreams      = 1024
	maxStreamsBytes = 4 << 20
	// maxStreamBytes is for one stream: a message of any length, and as much that came out of order.
	maxStreamBytes = 2 * (2 + 0xffff)
	// maxHole, ns, is how long what came out of order waits for what is missing. Then it was not captured.
	maxHole = 3e9
	// maxJump is how far a sequence number may be from what is expected. Beyond that it is another connection.
	maxJump = 1 << 20

	maxPieces = 256 // of one stream
	maxTries  = 16  // what may be a message and is none, looked at for one packet
	maxOpcode = 6   // DSO (RFC 8490)
	maxLabel  = 63

	lengthLen = 2 // of the length before a message
	headerLen = 12
)

// streamKey is one direction of a TCP connection.
type streamKey struct {
	source   uint32
	src, dst netip.AddrPort
}

func (k streamKey) reversed() streamKey { return streamKey{k.source, k.dst, k.src} }

// A stream is one direction of a connection of which it is known, or guessed, where a message begins.
type stream struct {
	key    streamKey
	at     int64  // of the last segment
	syn    bool   // it was seen from its SYN on,
	start  uint32 // behind which this sequence number stands
	sure   bool   // messages certainly begin where they are thought to
	lost   bool   // it is not known where: buf is the last bytes, which may be a part of a length and a header
	next   uint32 // sequence number of the first byte that is missing
	fin    bool   // the last byte is known,
	end    uint32 // before this sequence number
	buf    []byte // the message that is not complete, from its length on
	held   int    // packets that brought buf
	pieces []piece
	bytes  int   // that buf and pieces take
	holeAt int64 // since when pieces wait for what is missing before them
}

// segment takes the TCP segment in a.packet, which came as n packets.
func (a *Assembler) segment(source uint32, n int) {
	p := &a.packet
	key, seq := streamKey{source, p.Src, p.Dst}, p.Seq
	a.settle(source, n-1, ignored) // fragments of a segment, which nobody sends
	if p.TCPFlags&RST != 0 {
		a.end(key)
		a.end(key.reversed())
		a.settle(source, 1, ignored)
		return
	}
	s := a.streams.touch(key)
	if p.TCPFlags&SYN != 0 {
		seq++ // the SYN itself takes a number
		if s == nil || !s.syn || s.start != seq {
			s = a.begin(key, seq, p.TCPFlags&ACK == 0)
		}
	}
	if len(p.Payload) == 0 {
		a.settle(source, 1, ignored)
	} else {
		s = a.data(a.current(s, seq), key, seq, p.Payload)
	}
	if s == nil {
		return
	}
	s.at = a.at
	if p.TCPFlags&FIN != 0 {
		s.fin, s.end = true, seq+uint32(len(p.Payload))
	}
	if s.fin && int32(s.end-s.next) <= 0 {
		a.endStream(s)
	}
	for a.streams.full() {
		a.endStream(a.streams.oldest())
	}
}

// begin starts a stream at its SYN. What was known of the connection before is over.
func (a *Assembler) begin(key streamKey, seq uint32, client bool) *stream {
	a.end(key)
	if client {
		a.end(key.reversed())
	}
	s := &stream{key: key, at: a.at, syn: true, start: seq, sure: true, next: seq}
	a.streams.add(key, s)
	return s
}

// current ends a stream that the sequence number cannot be of, and gives up a hole that nothing has filled.
func (a *Assembler) current(s *stream, seq uint32) *stream {
	switch {
	case s == nil:
	case int32(seq-s.next) > maxJump || int32(s.next-seq) > maxJump:
		a.endStream(s)
		return nil
	case len(s.pieces) > 0 && a.at-s.holeAt > maxHole:
		return a.restart(s, 0, nil)
	}
	return s
}

// data takes bytes of a stream, which is nil where nothing is known of it, and returns it as it is then.
func (a *Assembler) data(s *stream, key streamKey, seq uint32, b []byte) *stream {
	if s != nil && s.lost {
		switch behind := int(int32(s.next - seq)); {
		case behind == 0:
			seq, b = seq-uint32(len(s.buf)), append(s.buf, b...)
		case behind >= len(b) && behind <= len(s.buf): // sent again
			a.settle(key.source, 1, ignored)
			return s
		}
		a.dropStream(s)
		s = nil
	}
	if s == nil {
		return a.pickUp(key, seq, b)
	}
	ahead := int(int32(seq - s.next))
	if ahead > 0 {
		return a.outOfOrder(s, seq, b)
	}
	if ahead+len(b) <= 0 { // sent again
		a.settle(key.source, 1, ignored)
		return s
	}
	s = a.inOrder(s, b[-ahead:])
	for s != nil && len(s.pieces) > 0 && int32(s.pieces[0].at-s.next) <= 0 {
		x := s.pieces[0]
		s.pieces = slices.Delete(s.pieces, 0, 1)
		a.grow(s, -len(x.bytes)-pieceCost)
		s.holeAt = a.at
		s = a.data(s, key, x.at, x.bytes)
	}
	return s
}

// inOrder takes the bytes that come next.
func (a *Assembler) inOrder(s *stream, b []byte) *stream {
	had, best := len(s.buf), nothingYet
	end := s.next + uint32(len(b))
	for rest := b; len(rest) > 0; {
		var framed []byte
		if framed, rest = s.fill(rest); framed == nil {
			break
		}
		w := a.take(framed[lengthLen:])
		if w == undecodable && !s.sure {
			return a.astray(s, end, framed, rest)
		}
		s.sure = true
		a.settle(s.key.source, s.held, w)
		s.held, best = 0, max(best, w)
	}
	if !s.sure && !plausible(s.buf) {
		return a.astray(s, end, s.buf, nil)
	}
	s.next = end
	a.grow(s, len(s.buf)-had)
	if len(s.buf) > 0 {
		s.held++
	} else {
		a.settle(s.key.source, 1, best)
	}
	return s
}

// astray looks for the beginning of a message anew: what was taken for one, and ends where rest begins, is none. The
// search goes on with its second byte, a few times for each packet, else with rest.
func (a *Assembler) astray(s *stream, end uint32, none, rest []byte) *stream {
	a.settle(s.key.source, s.held, ignored)
	s.held = 0
	if a.tries++; a.tries < maxTries {
		rest = slices.Concat(none[1:], rest)
	}
	if len(rest) == 0 {
		a.settle(s.key.source, 1, ignored)
	}
	return a.restart(s, end-uint32(len(rest)), rest)
}

// fill goes on with a message. When that is whole it returns it, behind its length, and what follows.
func (s *stream) fill(b []byte) (framed, rest []byte) {
	if len(s.buf) == 0 {
		if n := whole(b); n > 0 {
			return b[:n], b[n:]
		}
	}
	for len(b) > 0 && whole(s.buf) == 0 {
		want := lengthLen - len(s.buf)
		if want <= 0 {
			want += int(binary.BigEndian.Uint16(s.buf))
		}
		want = min(want, len(b))
		s.buf, b = append(s.buf, b[:want]...), b[want:]
	}
	if whole(s.buf) > 0 {
		framed, s.buf = s.buf, nil
	}
	return framed, b
}

// whole is how long the message at the beginning of b is with its length, 0 if it is not all there.
func whole(b []byte) int {
	if len(b) < lengthLen {
		return 0
	}
	if n := lengthLen + int(binary.BigEndian.Uint16(b)); n <= len(b) {
		return n
	}
	return 0
}

// outOfOrder keeps bytes that come before others that are missing. When there is no room, the hole is given up.
func (a *Assembler) outOfOrder(s *stream, seq uint32, b []byte) *stream {
	i, found := slices.BinarySearchFunc(s.pieces, seq, func(x piece, seq uint32) int { return int(int32(x.at - seq)) })
	switch {
	case found && len(s.pieces[i].bytes) >= len(b):
		a.settle(s.key.source, 1, ignored)
		return s
	case s.bytes+len(b)+pieceCost <= maxStreamBytes && len(s.pieces) < maxPieces:
	case len(s.pieces) == 0:
		return a.restart(s, seq, b)
	default:
		key := s.key
		return a.data(a.restart(s, 0, nil), key, seq, b)
	}
	if len(s.pieces) == 0 {
		s.holeAt = a.at
	}
	s.pieces = slices.Insert(s.pieces, i, piece{seq, slices.Clone(b)})
	a.grow(s, len(b)+pieceCost)
	return s
}

// restart forgets where messages begin: b, and then what came out of order, is of a stream never seen before.
func (a *Assembler) restart(s *stream, seq uint32, b []byte) *stream {
	key, pieces := s.key, s.pieces
	s.pieces = nil
	a.dropStream(s)
	s = nil
	if len(b) > 0 {
		s = a.pickUp(key, seq, b)
	}
	for _, x := range pieces {
		s = a.data(s, key, x.at, x.bytes)
	}
	return s
}

// end ends the stream of that key, if there is one.
func (a *Assembler) end(key streamKey) {
	if e := a.streams.byKey[key]; e != nil {
		a.endStream(e.Value.(*stream))
	}
}

// endStream takes what whole messages stand behind the holes, and drops the stream.
func (a *Assembler) endStream(s *stream) {
	for s != nil && len(s.pieces) > 0 {
		s = a.restart(s, 0, nil)
	}
	if s != nil {
		a.dropStream(s)
	}
}

func (a *Assembler) dropStream(s *stream) {
	a.streams.remove(s.key, s.bytes)
	a.settle(s.key.source, s.held+len(s.pieces), undecodable)
}

// grow accounts for bytes that the stream holds.
func (a *Assembler) grow(s *stream, n int) {
	s.bytes += n
	a.streams.bytes += n
}

// pickUp begins a stream in its middle, where a message may begin. If none does, the last bytes are kept: a length and
// a header may be spread over segments.
func (a *Assembler) pickUp(key streamKey, seq uint32, b []byte) *stream {
	at, sure := a.beginning(b)
	s := &stream{key: key, at: a.at, sure: sure, next: seq + uint32(at)}
	a.streams.add(key, s)
	if at >= 0 {
		return a.inOrder(s, b[at:])
	}
	a.settle(key.source, 1, ignored)
	s.lost, s.next, s.buf = true, seq+uint32(len(b)), slices.Clone(b[max(0, len(b)-(lengthLen+headerLen-1)):])
	a.grow(s, len(s.buf))
	return s
}

// beginning is where in b a message may begin, -1 if nowhere. It is sure if lengths lead from the first byte to the last,
// else it is the first length with a plausible header behind it; a message that is all there must be one, too.
func (a *Assembler) beginning(b []byte) (at int, sure bool) {
	rest := b
	for n := whole(rest); n >= lengthLen+headerLen; n = whole(rest) {
		rest = rest[n:]
	}
	if len(rest) == 0 {
		return 0, true
	}
	for at := 0; at+lengthLen+headerLen <= len(b) && a.tries < maxTries; at++ {
		if !plausible(b[at:]) {
			continue
		}
		n := whole(b[at:])
		if n == 0 || a.message.Decode(b[at+lengthLen:at+n]) == nil {
			return at, false
		}
		a.tries++
	}
	return -1, false
}

// plausible says whether b begins with a length and the header of a message that fits into it: one question, a known
// opcode, not more records than there is room for, and, as far as b goes, a name that is asked for.
func plausible(b []byte) bool {
	const question, record = 5, 11 // at least
	if len(b) < lengthLen+headerLen {
		return true
	}
	length, h := int(binary.BigEndian.Uint16(b)), b[lengthLen:]
	opcode, reserved := h[2]>>3&0xf, h[3]&0x40
	questions, records := binary.BigEndian.Uint16(h[4:]), 0
	for i := 6; i < headerLen; i += 2 {
		records += int(binary.BigEndian.Uint16(h[i:]))
	}
	if opcode > maxOpcode || reserved != 0 || questions != 1 || headerLen+question+record*records > length {
		return false
	}
	name := h[headerLen:min(len(h), length)]
	for at := 0; at < len(name); at += 1 + int(name[at]) {
		if name[at] == 0 {
			return at+question > len(name) || name[at+3] == 0 // of a class there is
		}
		if name[at] > maxLabel || at > maxName {
			return false
		}
	}
	return true
}
