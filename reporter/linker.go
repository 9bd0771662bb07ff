package reporter

import (
	"cmp"
	"slices"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// A place is a tuple as packets show it somewhere between the ends, or the reverse of
// one.
type place struct {
	*ctmsg.Tuple
	zone uint16
	back bool
}

func (f *flow) enter() place { return place{&f.key.orig, f.key.zone, false} }
func (f *flow) leave() place { return place{&f.reply, f.key.zone, true} }

func (p place) reversed() place { return place{p.Tuple, p.zone, !p.back} }

// is reports whether two places are the same.
func (p place) is(q place) bool {
	t, u := p.Tuple, q.Tuple
	if p.zone != q.zone {
		return false
	}
	if p.back == q.back {
		return t.SrcIP == u.SrcIP && t.DstIP == u.DstIP && t.SrcPort == u.SrcPort && t.DstPort == u.DstPort
	}
	return t.SrcIP == u.DstIP && t.DstIP == u.SrcIP && t.SrcPort == u.DstPort && t.DstPort == u.SrcPort
}

// A linker puts the flows of different namespaces together that are parts of
// one connection: one leaves with the tuple with which the next enters. Loopback
// never leaves its namespace, and zones never mix. Its lists are reused.
type linker struct {
	sources         *sources
	window          uint64
	flows           []linked // in the order in which they look for each other
	keys, spare     []uint64 // of their places: see placeKey
	meetings        []meeting
	path, onlookers []int32 // of the chain in the making: places among the flows

	chains  []chain
	members []*flow // of their paths
	fresh   bool    // no record has come since the chains were made

	touched uint64 // by looking ahead
}

// A linked flow, and where its places are those of others.
type linked struct {
	*flow
	enter, leave          meetingAt
	nat, handshake, taken bool
}

// A meetingAt is where a place of a flow may be that of others: 0 if it is not. Most
// often there is one other; then it is the negated complement of its key.
type meetingAt int32

func pairOf(key uint64) meetingAt { return ^meetingAt(key & atMask) }

func (m meetingAt) pair() bool { return m < 0 }

// other is the key of the only other flow, without its hash.
func (m meetingAt) other() uint64 { return uint64(^m) }

// A meeting is where the keys begin and end of several flows that may have a place in
// common. In a crowd they are those of one list of a place, whose lists follow
// each other.
type meeting struct {
	from, to int32
	crowd    bool
}

// A key of a place has a part of its hash in its upper bits, in its lower ones the
// flow's place in the linker's list, and in the lowest whether the flow leaves there.
func (l *linker) placeKey(t *ctmsg.Tuple, zone uint16, flow int, leaves uint64) {
	hash := either(t) ^ uint64(zone)*0x9e3779b97f4a7c15 // the same for what goes and for what comes back
	l.keys = append(l.keys, hash&^atMask|uint64(flow)<<1|leaves)
}

const (
	atMask   = 1<<atLength - 1
	atLength = 31
)

// gather lists the flows and their places. A flow that ended before the window is
// over, unless its chain was told of since then: it would be taken for a part of the
// next connection that has its tuple. Of several zones the lowest goes first, as it
// does where sockets are looked for.
func (l *linker) gather(flows *flows) {
	n := len(flows.live) + len(flows.ended)
	l.flows, l.keys = slices.Grow(emptied(l.flows, n), n), slices.Grow(emptied(l.keys, 2*n), n)
	zones := false
	flows.each(func(f *flow) {
		if f.ended && (!f.edge || f.window != l.window && !f.held) {
			f.hold(false)
		} else {
			zones = zones || f.key.zone != 0
			k := added(&l.flows)
			k.flow, k.enter, k.leave, k.nat, k.handshake, k.taken = f, 0, 0, f.nat, f.handshake, false
			l.places(len(l.flows) - 1)
		}
	})
	if zones {
		slices.SortStableFunc(l.flows, func(a, b linked) int { return cmp.Compare(a.key.zone, b.key.zone) })
		l.keys = l.keys[:0]
		for i := range l.flows {
			l.places(i)
		}
	}
}

func (l *linker) places(flow int) {
	f := &l.flows[flow]
	l.placeKey(&f.key.orig, f.key.zone, flow, 0)
	if f.nat {
		l.placeKey(&f.reply, f.key.zone, flow, 1)
	}
}

// meet finds the places that several flows have in common.
func (l *linker) meet() {
	l.spare = slices.Grow(emptied(l.spare, len(l.keys)), len(l.keys))
	l.keys, l.spare = sortNumbers(l.keys, l.spare[:len(l.keys)])
	l.meetings = append(emptied(l.meetings, len(l.flows)), meeting{})
	for from := 0; from < len(l.keys); {
		to := from + 1
		for to < len(l.keys) && (l.keys[to]^l.keys[from])>>atLength == 0 {
			to++
		}
		l.meetAt(from, to)
		from = to
	}
}

// crowd is how many keys of one hash are looked through at every look; more are
// told apart first. Who sends packets can choose tuples of one hash, and use one
// again and again.
const crowd = 16

// meetAt notes meetings of the flows whose keys have one hash.
func (l *linker) meetAt(from, to int) {
	switch n := to - from; {
	case n == 1:
		return
	case n == 2:
		a, b := l.keys[from], l.keys[from+1]
		*l.meetingOf(a), *l.meetingOf(b) = pairOf(b), pairOf(a)
		return
	case n <= crowd:
		l.introduce(from, to)
		l.meetings = append(l.meetings, meeting{int32(from), int32(to), false})
		return
	}
	slices.SortStableFunc(l.keys[from:to], func(a, b uint64) int {
		return cmp.Or(l.comparePlaces(a, b), cmp.Compare(l.listOf(a), l.listOf(b)))
	})
	for from < to {
		first := from
		for from++; from < to && l.comparePlaces(l.keys[first], l.keys[from]) == 0; from++ {
		}
		if from-first < 2 {
			continue
		}
		l.introduce(first, from)
		for list := range lists {
			begin := first
			for first < from && l.listOf(l.keys[first]) == list {
				first++
			}
			l.meetings = append(l.meetings, meeting{int32(begin), int32(first), true})
		}
	}
}

// introduce tells flows of the meeting that comes next.
func (l *linker) introduce(from, to int) {
	for _, k := range l.keys[from:to] {
		*l.meetingOf(k) = meetingAt(len(l.meetings))
	}
}

// meetingOf is where the meeting of a key's flow is noted.
func (l *linker) meetingOf(key uint64) *meetingAt {
	f, leaves := l.of(key)
	if leaves {
		return &f.leave
	}
	return &f.enter
}

// comparePlaces orders keys by their places, whichever way they are passed.
func (l *linker) comparePlaces(a, b uint64) int {
	p, q := l.place(a), l.place(b)
	lesser, greater, _ := p.ends()
	lesserOther, greaterOther, _ := q.ends()
	return cmp.Or(byAll.compare(&lesser, &lesserOther), byAll.compare(&greater, &greaterOther), cmp.Compare(p.zone, q.zone))
}

// ends are the place's lesser and greater end; down says that it is passed from the
// greater to the lesser one.
func (p place) ends() (lesser, greater sortKey, down bool) {
	hostPort{p.SrcIP, p.SrcPort}.order(&lesser, 0)
	hostPort{p.DstIP, p.DstPort}.order(&greater, 0)
	switch order := byAll.compare(&lesser, &greater); {
	case order > 0:
		return greater, lesser, !p.back
	case order < 0:
		return lesser, greater, p.back
	}
	return lesser, greater, false // either way it is the same
}

// lists is how many a place has: of flows that have it in one way and direction.
const lists = 6

// list is that of flows that have a place so.
func (p place) list(as way) int {
	list := 2 * int(min(as, passing))
	if _, _, down := p.ends(); down {
		list++
	}
	return list
}

// listOf is a key's list, place its place.
func (l *linker) listOf(k uint64) int {
	p, as := l.place(k), passing
	if f, leaves := l.of(k); leaves {
		as = leaving
	} else if f.nat {
		as = entering
	}
	return p.list(as)
}

func (l *linker) place(k uint64) place {
	f, leaves := l.of(k)
	if leaves {
		return f.flow.leave()
	}
	return f.flow.enter()
}

// of is the flow of a key, and whether the place is that where it leaves.
func (l *linker) of(k uint64) (f *linked, leaves bool) {
	return &l.flows[(k&atMask)>>1], k&1 != 0
}

// A way is how a flow has a place.
type way uint8

const (
	entering way = iota // translating flows
	leaving
	passing     // others
	passingBack // and may have been picked up, so that the direction is not sure
)

// at is the place that a flow has in a way.
func (f *flow) at(as way) place {
	if as == leaving {
		return f.leave()
	}
	return f.enter()
}

// partner takes the flow at a place that belongs to the chain: alive at the
// same time, best with the same fate. It is -1 if there is none.
func (l *linker) partner(meeting meetingAt, at place, as way, ended bool) int32 {
	if meeting.pair() {
		k := meeting.other()
		if !l.fits(k, at, as) || loopback(at.Tuple) {
			return -1
		}
		return l.take(k)
	}
	m := &l.meetings[meeting]
	if m.crowd {
		m = &l.meetings[int(meeting)+at.list(as)]
	}
	for ; m.from < m.to; m.from++ {
		if f, _ := l.of(l.keys[m.from]); !f.taken {
			break
		}
	}
	if m.from == m.to || loopback(at.Tuple) {
		return -1
	}
	var best *uint64
	for i, k := range l.keys[m.from:m.to] {
		if !l.fits(k, at, as) {
			continue
		}
		if f, _ := l.of(k); f.ended == ended {
			return l.take(k)
		}
		if best == nil {
			best = &l.keys[int(m.from)+i]
		}
	}
	if best == nil {
		return -1
	}
	return l.take(*best)
}

// fits reports whether a key's flow may be taken for one at a place.
func (l *linker) fits(k uint64, at place, as way) bool {
	f, leaves := l.of(k)
	return !f.taken && f.nat == (as < passing) && leaves == (as == leaving) && !(as == passingBack && f.handshake) &&
		f.at(as).is(at) && l.joins(f.flow)
}

// take takes a key's flow.
func (l *linker) take(k uint64) int32 {
	i := int32((k & atMask) >> 1)
	l.flows[i].taken = true
	return i
}
