package dnsmsg

import "container/list"

// An Assembler goes from packets to answers: it joins fragments and TCP streams. What it holds is bounded: what was
// touched longest ago goes first. Time is that of the packets, in ns, and never decreases.
//
// Every packet counts once: as undecodable, as ignored, or, where it had a part in a message with an answer, not at
// all. One that is held counts when that is decided. What is dropped unfinished hides something and is undecodable;
// only fragments without their datagram's first one, which may as well be of no DNS message, are ignored.
type Assembler struct {
	count func(source uint32, undecodable, ignored uint64)
	at    int64 // of the last packet
	tries int   // for it, see maxTries

	packet    Packet
	message   Message
	answers   []Answer
	fragments store[fragmentKey, datagram]
	streams   store[streamKey, stream]
}

// maxAge, ns, is how long a fragment waits for the others, and a stream for its next segment: as long as Linux holds
// fragments.
const maxAge = 30e9

// worth is what came of a packet; the greatest of several decides.
type worth uint8

const (
	nothingYet  worth = iota // it is held
	ignored                  // no answer in it
	answered                 // it had a part in an answer
	undecodable              // it is malformed, cut short, or lacks what belongs to it
)

// NewAssembler returns an Assembler that tells count of each source's packets that have come to nothing.
func NewAssembler(count func(source uint32, undecodable, ignored uint64)) *Assembler {
	a := &Assembler{count: count}
	a.fragments.init(maxDatagrams, maxDatagramBytes)
	a.streams.init(maxStreams, maxStreamsBytes)
	return a
}

// Packet takes the next packet that a source captured, see Packet.Decode, and returns the answers that are complete
// with it. They are good until the next call.
func (a *Assembler) Packet(source uint32, at int64, b []byte) []Answer {
	a.answers = a.answers[:0]
	a.expire(at)
	p := &a.packet
	switch err := p.Decode(b); {
	case p.IsFragment() && (err == nil || err == ErrFragment || err == ErrTruncated):
		a.fragment(source, err == ErrTruncated)
	case err == ErrTruncated && p.Proto == TCP:
		a.end(streamKey{source, p.Src, p.Dst})
		a.settle(source, 1, undecodable)
	case err == ErrProtocol || err == ErrFragment:
		a.settle(source, 1, ignored)
	case err != nil:
		a.settle(source, 1, undecodable)
	default:
		a.transport(source, 1)
	}
	return a.answers
}

// Expire drops what has waited too long. What that completes it returns: messages behind a hole that nothing filled.
func (a *Assembler) Expire(at int64) []Answer {
	a.answers = a.answers[:0]
	a.expire(at)
	return a.answers
}

// Lost says that packets of the source were lost: what is held of it may lack them. The answers are those of Expire.
func (a *Assembler) Lost(source uint32) []Answer {
	a.answers, a.tries = a.answers[:0], 0
	for e := a.fragments.order.Front(); e != nil; {
		d := e.Value.(*datagram)
		if e = e.Next(); d.key.source == source {
			a.dropDatagram(d)
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
		a.dropDatagram(d)
	}
	for s := a.streams.oldest(); s != nil && at-s.at > maxAge; s = a.streams.oldest() {
		a.endStream(s)
	}
}

// transport takes the packet in a.packet, which came as n packets.
func (a *Assembler) transport(source uint32, n int) {
	if a.packet.Proto == TCP {
		a.segment(source, n)
		return
	}
	a.settle(source, n, a.take(a.packet.Payload))
}

// take decodes a whole message.
func (a *Assembler) take(b []byte) worth {
	if a.message.Decode(b) != nil {
		return undecodable
	}
	had := len(a.answers)
	if a.answers = a.message.Answers(a.answers); len(a.answers) == had {
		return ignored
	}
	return answered
}

// settle counts n packets that came to w.
func (a *Assembler) settle(source uint32, n int, w worth) {
	switch {
	case n == 0:
	case w == undecodable:
		a.count(source, uint64(n), 0)
	case w == ignored:
		a.count(source, 0, uint64(n))
	}
}

// A store holds unfinished things, the one that was touched longest ago first, within bounds.
type store[K comparable, V any] struct {
	byKey    map[K]*list.Element // of *V
	order    *list.List
	most     int // things
	bytes    int // that they hold
	maxBytes int
}

func (s *store[K, V]) init(most, maxBytes int) {
	s.byKey, s.order, s.most, s.maxBytes = make(map[K]*list.Element), list.New(), most, maxBytes
}

// touch finds a thing and makes it the last to go.
func (s *store[K, V]) touch(key K) *V {
	e := s.byKey[key]
	if e == nil {
		return nil
	}
	s.order.MoveToBack(e)
	return e.Value.(*V)
}

func (s *store[K, V]) add(key K, v *V) { s.byKey[key] = s.order.PushBack(v) }

// remove forgets a thing of so many bytes.
func (s *store[K, V]) remove(key K, bytes int) {
	if e := s.byKey[key]; e != nil {
		s.order.Remove(e)
		delete(s.byKey, key)
		s.bytes -= bytes
	}
}

// oldest is what was touched longest ago, nil if there is nothing.
func (s *store[K, V]) oldest() *V {
	if e := s.order.Front(); e != nil {
		return e.Value.(*V)
	}
	return nil
}

// full says that something has to go.
func (s *store[K, V]) full() bool { return s.order.Len() > s.most || s.bytes > s.maxBytes }
