package dnsmsg

import "container/list"

// An Assembler reads answers from packets: it joins fragments and TCP streams. Its memory is bounded: it removes the
// datagram or the stream that was used longest ago. Time is the time of the packets, in ns, and never decreases.
//
// Every packet counts once: as undecodable, as ignored, or not at all if it was part of a message with an answer. A packet
// that waits for others counts when its outcome is known. Packets of a removed, incomplete message are undecodable, because
// answers may be missing. Only fragments without their datagram's first fragment, which may not be DNS, are ignored.
type Assembler struct {
	count func(source uint32, undecodable, ignored uint64)
	at    int64 // of the last packet
	tries int   // see maxTries

	packet    Packet
	message   Message
	answers   []Answer
	fragments store[fragmentKey, datagram]
	streams   store[streamKey, stream]
}

// maxAge, ns, is how long a fragment waits for the others, and a stream for its next segment: as long as Linux keeps
// fragments.
const maxAge = 30e9

// outcome is the result of a packet; the greatest of several counts.
type outcome uint8

const (
	undecided   outcome = iota // it waits for other packets
	ignored                    // it has no answer
	answered                   // it was part of an answer
	undecodable                // it is malformed or cut short, or other packets are missing
)

// NewAssembler returns an Assembler that calls count for the undecodable and the ignored packets of each source.
func NewAssembler(count func(source uint32, undecodable, ignored uint64)) *Assembler {
	a := &Assembler{count: count}
	a.fragments.init(maxDatagrams, maxDatagramBytes)
	a.streams.init(maxStreams, maxStreamsBytes)
	return a
}

// Packet adds the next packet that a source captured, see Packet.Decode, and returns the answers that it completes. They
// are valid until the next call.
func (a *Assembler) Packet(source uint32, at int64, b []byte) []Answer {
	a.answers = a.answers[:0]
	a.expire(at)
	p := &a.packet
	switch err := p.Decode(b); {
	case p.IsFragment() && (err == nil || err == ErrFragment || err == ErrTruncated):
		a.fragment(source, err == ErrTruncated)
	case err == ErrTruncated && p.Proto == TCP:
		a.end(streamKey{source, p.Src, p.Dst})
		a.countPackets(source, 1, undecodable)
	case err == ErrTruncated && p.Proto == UDP:
		if a.message.DecodeCut(p.Payload) == nil {
			a.answers = a.message.Answers(a.answers)
		}
		a.countPackets(source, 1, undecodable) // other answers may be missing
	case err == ErrProtocol || err == ErrFragment:
		a.countPackets(source, 1, ignored)
	case err != nil:
		a.countPackets(source, 1, undecodable)
	default:
		a.transport(source, 1)
	}
	return a.answers
}

// Expire removes datagrams and streams that have waited too long. It returns the answers that this completes: those in
// messages after missing bytes.
func (a *Assembler) Expire(at int64) []Answer {
	a.answers = a.answers[:0]
	a.expire(at)
	return a.answers
}

// Lost removes all datagrams and streams of a source that lost packets. It returns answers as Expire does.
func (a *Assembler) Lost(source uint32) []Answer {
	a.answers, a.tries = a.answers[:0], 0
	for e := a.fragments.order.Front(); e != nil; {
		d := e.Value.(*datagram)
		if e = e.Next(); d.key.source == source {
			a.removeDatagram(d)
		}
	}
	for e := a.streams.order.Front(); e != nil; {
		s := e.Value.(*stream)
		if e = e.Next(); s.key.source == source {
			a.endStream(s)
		}
	}
	return a.answers
}

func (a *Assembler) expire(at int64) {
	a.at, a.tries = at, 0
	for d := a.fragments.oldest(); d != nil && at-d.at > maxAge; d = a.fragments.oldest() {
		a.removeDatagram(d)
	}
	for s := a.streams.oldest(); s != nil && at-s.at > maxAge; s = a.streams.oldest() {
		a.endStream(s)
	}
}

// transport reads the payload of a.packet, which came as n packets.
func (a *Assembler) transport(source uint32, n int) {
	if a.packet.Proto == TCP {
		a.segment(source, n)
		return
	}
	a.countPackets(source, n, a.decodeMessage(a.packet.Payload))
}

// decodeMessage decodes a message and adds its answers.
func (a *Assembler) decodeMessage(b []byte) outcome {
	if a.message.Decode(b) != nil {
		return undecodable
	}
	had := len(a.answers)
	if a.answers = a.message.Answers(a.answers); len(a.answers) == had {
		return ignored
	}
	return answered
}

// countPackets counts n packets with one outcome.
func (a *Assembler) countPackets(source uint32, n int, o outcome) {
	switch {
	case n == 0:
	case o == undecodable:
		a.count(source, uint64(n), 0)
	case o == ignored:
		a.count(source, 0, uint64(n))
	}
}

// A store keeps incomplete datagrams or streams, and how many bytes they need.
type store[K comparable, V any] struct {
	byKey    map[K]*list.Element // of *V
	order    *list.List          // the one used longest ago first
	maxItems int
	bytes    int
	maxBytes int
}

func (s *store[K, V]) init(maxItems, maxBytes int) {
	s.byKey, s.order, s.maxItems, s.maxBytes = make(map[K]*list.Element), list.New(), maxItems, maxBytes
}

// use returns the item of a key, nil if there is none, and makes it the last one in the order.
func (s *store[K, V]) use(key K) *V {
	e := s.byKey[key]
	if e == nil {
		return nil
	}
	s.order.MoveToBack(e)
	return e.Value.(*V)
}

func (s *store[K, V]) add(key K, v *V) { s.byKey[key] = s.order.PushBack(v) }

// remove removes an item that needs that many bytes.
func (s *store[K, V]) remove(key K, bytes int) {
	if e := s.byKey[key]; e != nil {
		s.order.Remove(e)
		delete(s.byKey, key)
		s.bytes -= bytes
	}
}

// oldest returns the item used longest ago, nil if there is none.
func (s *store[K, V]) oldest() *V {
	if e := s.order.Front(); e != nil {
		return e.Value.(*V)
	}
	return nil
}

// full reports that there are too many items or bytes.
func (s *store[K, V]) full() bool { return s.order.Len() > s.maxItems || s.bytes > s.maxBytes }
