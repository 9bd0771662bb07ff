package dnsmsg

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Bounds of TCP streams.
const (
	maxStreams      = 1024
	maxStreamsBytes = 4 << 20
	// maxStreamBytes bounds one stream: a message of any length, and as many bytes that came out of order.
	maxStreamBytes = 2 * (2 + 0xffff)
	// maxHole, ns, is how long a stream waits for missing bytes. After that they were not captured.
	maxHole = 3e9
	// maxJump is how far a sequence number may be from the expected one. Beyond that it is another connection.
	maxJump = 1 << 20

	maxPieces = 256 // of one stream
	maxTries  = 16  // failed searches for a message, for each packet
	maxOpcode = 6   // DSO (RFC 8490)
	maxLabel  = 63

	lengthLen = 2 // of the length before a message
	headerLen = 12
)

// streamKey identifies one direction of a TCP connection.
type streamKey struct {
	source   uint32
	src, dst netip.AddrPort
}

func (k streamKey) reversed() streamKey { return streamKey{k.source, k.dst, k.src} }

// A stream is one direction of a TCP connection. The stream knows or guesses where a message begins, or it searches for
// the beginning of one.
type stream struct {
	key        streamKey
	at         int64  // of the last segment
	syn        bool   // the SYN was captured
	start      uint32 // sequence number after the SYN
	confirmed  bool   // a SYN or a decoded message shows where messages begin; else it is a guess
	searching  bool   // buf is the last bytes, which may be the first part of a length and a header
	next       uint32 // sequence number of the first missing byte
	fin        bool   // the FIN was captured
	end        uint32 // sequence number after the last byte
	buf        []byte // the incomplete message, with its length
	bufPackets int    // number of packets in buf
	pieces     []piece
	bytes      int   // memory that buf and pieces need
	holeAt     int64 // since when pieces wait for missing bytes
}

// segment adds the TCP segment in a.packet, which came as n packets, to its stream.
func (a *Assembler) segment(source uint32, n int) {
	p := &a.packet
	key, seq := streamKey{source, p.Src, p.Dst}, p.Seq
	a.countPackets(source, n-1, ignored) // nobody sends fragments of a segment: one packet counts
	if p.TCPFlags&rst != 0 {
		a.end(key)
		a.end(key.reversed())
		a.countPackets(source, 1, ignored)
		return
	}
	s := a.streams.use(key)
	if p.TCPFlags&SYN != 0 {
		seq++ // the SYN has a number too
		if s == nil || !s.syn || s.start != seq {
			s = a.begin(key, seq, p.TCPFlags&ACK == 0)
		}
	}
	if len(p.Payload) == 0 {
		a.countPackets(source, 1, ignored)
	} else {
		s = a.data(a.expected(s, seq), key, seq, p.Payload)
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

// begin starts a stream at its SYN, and ends the streams of an earlier connection.
func (a *Assembler) begin(key streamKey, seq uint32, client bool) *stream {
	a.end(key)
	if client {
		a.end(key.reversed())
	}
	s := &stream{key: key, at: a.at, syn: true, start: seq, confirmed: true, next: seq}
	a.streams.add(key, s)
	return s
}

// expected ends the stream if the sequence number belongs to another connection, and skips bytes that have been missing
// for too long. It returns the stream that is left.
func (a *Assembler) expected(s *stream, seq uint32) *stream {
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

// data adds bytes to a stream, which may be nil. It returns the stream that results, nil if it ended.
func (a *Assembler) data(s *stream, key streamKey, seq uint32, b []byte) *stream {
	if s != nil && s.searching {
		switch back := int(int32(s.next - seq)); {
		case back == 0:
			seq, b = seq-uint32(len(s.buf)), append(s.buf, b...)
		case back >= len(b) && back <= len(s.buf): // sent again
			a.countPackets(key.source, 1, ignored)
			return s
		}
		a.removeStream(s)
		s = nil
	}
	if s == nil {
		return a.startMidway(key, seq, b)
	}
	ahead := int(int32(seq - s.next))
	if ahead > 0 {
		return a.outOfOrder(s, seq, b)
	}
	if ahead+len(b) <= 0 { // sent again
		a.countPackets(key.source, 1, ignored)
		return s
	}
	s = a.inOrder(s, b[-ahead:])
	for s != nil && len(s.pieces) > 0 && int32(s.pieces[0].at-s.next) <= 0 {
		x := s.pieces[0]
		s.pieces = slices.Delete(s.pieces, 0, 1)
		a.addBytes(s, -len(x.bytes)-pieceCost)
		s.holeAt = a.at
		s = a.data(s, key, x.at, x.bytes)
	}
	return s
}

// inOrder adds the next bytes, and decodes the messages that they complete.
func (a *Assembler) inOrder(s *stream, b []byte) *stream {
	before, best := len(s.buf), undecided
	end := s.next + uint32(len(b))
	for rest := b; len(rest) > 0; {
		var framed []byte
		if framed, rest = s.fillFrame(rest); framed == nil {
			break
		}
		o := a.decodeMessage(framed[lengthLen:])
		if o == undecodable && !s.confirmed {
			return a.rescan(s, end, framed, rest)
		}
		s.confirmed = true
		a.countPackets(s.key.source, s.bufPackets, o)
		s.bufPackets, best = 0, max(best, o)
	}
	if !s.confirmed && !plausible(s.buf) {
		return a.rescan(s, end, s.buf, nil)
	}
	s.next = end
	a.addBytes(s, len(s.buf)-before)
	if len(s.buf) > 0 {
		s.bufPackets++
	} else {
		a.countPackets(s.key.source, 1, best)
	}
	return s
}

// rescan searches for the beginning of a message again: wrong was not a message, and rest follows it. The search continues
// at the second byte of wrong or, after maxTries for one packet, at rest.
func (a *Assembler) rescan(s *stream, end uint32, wrong, rest []byte) *stream {
	a.countPackets(s.key.source, s.bufPackets, ignored)
	s.bufPackets = 0
	if a.tries++; a.tries < maxTries {
		rest = slices.Concat(wrong[1:], rest)
	}
	if len(rest) == 0 {
		a.countPackets(s.key.source, 1, ignored)
	}
	return a.restart(s, end-uint32(len(rest)), rest)
}

// fillFrame adds bytes to the incomplete message in buf. It returns the message with its length when that is complete,
// and the bytes that follow.
func (s *stream) fillFrame(b []byte) (framed, rest []byte) {
	if len(s.buf) == 0 {
		if n := frameLen(b); n > 0 {
			return b[:n], b[n:]
		}
	}
	for len(b) > 0 && frameLen(s.buf) == 0 {
		want := lengthLen - len(s.buf)
		if want <= 0 {
			want += int(binary.BigEndian.Uint16(s.buf))
		}
		want = min(want, len(b))
		s.buf, b = append(s.buf, b[:want]...), b[want:]
	}
	if frameLen(s.buf) > 0 {
		framed, s.buf = s.buf, nil
	}
	return framed, b
}

// frameLen returns the size of the message at the beginning of b, its length included; 0 if b does not have all of it.
func frameLen(b []byte) int {
	if len(b) < lengthLen {
		return 0
	}
	if n := lengthLen + int(binary.BigEndian.Uint16(b)); n <= len(b) {
		return n
	}
	return 0
}

// outOfOrder keeps bytes until the missing bytes before them come. If there is no room, it skips the missing bytes.
func (a *Assembler) outOfOrder(s *stream, seq uint32, b []byte) *stream {
	i, found := slices.BinarySearchFunc(s.pieces, seq, func(x piece, seq uint32) int { return int(int32(x.at - seq)) })
	switch {
	case found && len(s.pieces[i].bytes) >= len(b):
		a.countPackets(s.key.source, 1, ignored)
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
	a.addBytes(s, len(b)+pieceCost)
	return s
}

// restart replaces the stream with a new one, which begins with b or with the bytes that came out of order.
func (a *Assembler) restart(s *stream, seq uint32, b []byte) *stream {
	key, pieces := s.key, s.pieces
	s.pieces = nil
	a.removeStream(s)
	s = nil
	if len(b) > 0 {
		s = a.startMidway(key, seq, b)
	}
	for _, x := range pieces {
		s = a.data(s, key, x.at, x.bytes)
	}
	return s
}

// end ends the stream of a key, if there is one.
func (a *Assembler) end(key streamKey) {
	if e := a.streams.byKey[key]; e != nil {
		a.endStream(e.Value.(*stream))
	}
}

// endStream decodes the complete messages after missing bytes, and removes the stream.
func (a *Assembler) endStream(s *stream) {
	for s != nil && len(s.pieces) > 0 {
		s = a.restart(s, 0, nil)
	}
	if s != nil {
		a.removeStream(s)
	}
}

func (a *Assembler) removeStream(s *stream) {
	a.streams.remove(s.key, s.bytes)
	a.countPackets(s.key.source, s.bufPackets+len(s.pieces), undecodable)
}

// addBytes counts n bytes more for the stream.
func (a *Assembler) addBytes(s *stream, n int) {
	s.bytes += n
	a.streams.bytes += n
}

// startMidway starts a stream without its SYN, where a message may begin. If no message begins in b, the stream keeps the
// last bytes: a length and a header may be spread over segments.
func (a *Assembler) startMidway(key streamKey, seq uint32, b []byte) *stream {
	at, confirmed := a.findMessage(b)
	s := &stream{key: key, at: a.at, confirmed: confirmed, next: seq + uint32(at)}
	a.streams.add(key, s)
	if at >= 0 {
		return a.inOrder(s, b[at:])
	}
	a.countPackets(key.source, 1, ignored)
	s.searching, s.next, s.buf = true, seq+uint32(len(b)), slices.Clone(b[max(0, len(b)-(lengthLen+headerLen-1)):])
	a.addBytes(s, len(s.buf))
	return s
}

// findMessage returns where in b a message may begin, -1 if nowhere. It is confirmed if a chain of lengths covers b from
// the first byte to the last. Else it is the first length with a plausible header after it, and with a message that
// decodes if b has all of it.
func (a *Assembler) findMessage(b []byte) (at int, confirmed bool) {
	rest := b
	for n := frameLen(rest); n >= lengthLen+headerLen; n = frameLen(rest) {
		rest = rest[n:]
	}
	if len(rest) == 0 {
		return 0, true
	}
	for at := 0; at+lengthLen+headerLen <= len(b) && a.tries < maxTries; at++ {
		if !plausible(b[at:]) {
			continue
		}
		n := frameLen(b[at:])
		if n == 0 || a.message.Decode(b[at+lengthLen:at+n]) == nil {
			return at, false
		}
		a.tries++
	}
	return -1, false
}

// plausible reports whether b may begin with a length and the header of a message: one question, a known opcode, no more
// records than fit the length, and a valid name in the question as far as b goes.
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
			return at+question > len(name) || name[at+3] == 0 // the upper byte of the class is 0 in all known classes
		}
		if name[at] > maxLabel || at > maxName {
			return false
		}
	}
	return true
}
