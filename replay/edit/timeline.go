package edit

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/render"
)

// A track is one recording on its way onto a line of several.
type track struct {
	*recording
	union recordUnion
	rec   *capture.Record // the next one; nil at the end
	tape  *mergeTape
	open  openSources   // by their numbers on the line
	tick  bool          // its last tick stands on the line
	seqs  [64][2]uint64 // the last records' numbers, here and on the line
	count int
}

// A timeLine is recordings of one host, put together by time.
type timeLine struct {
	*merger
	tracks []*track // by their start
	mixed  bool     // not only of the first; till then numbers stay: a carried state names them
	ticks  uint64
	end    capture.End
}

// line writes several recordings. Records stand where their time is; of equal
// times in the order in which the tapes were named. Ticks, and what is said of
// the wall clock, are those of the tape that was named first, as far as it
// reaches.
func (m *merger) line(list []*recording) error {
	place(list)
	number(list)
	m.d.lossy = true
	l := &timeLine{merger: m}
	for _, r := range list {
		t := &track{recording: r}
		t.union = recordUnion{waiting: r.waiting(), hole: func(from, to uint64, before *mergeTape, _ bool) error { return l.missing(t, from, to, before) }}
		l.tracks = append(l.tracks, t)
	}
	defer func() {
		for _, t := range l.tracks {
			t.union.close()
		}
	}()
	for _, t := range l.tracks {
		if err := l.advance(t); err != nil {
			return err
		}
	}
	for {
		var t *track
		for _, o := range l.tracks {
			if o.rec != nil && (t == nil || o.before(t)) {
				t = o
			}
		}
		if t == nil {
			return l.finish()
		}
		if err := l.record(t); err != nil {
			return err
		}
		if err := l.advance(t); err != nil {
			return err
		}
	}
}

func (t *track) before(o *track) bool {
	a, b := replay.AddTime(t.offset, t.rec.At), replay.AddTime(o.offset, o.rec.At)
	return a < b || a == b && t.order < o.order
}

// advance reads a track's next record; that of its end is the last.
func (l *timeLine) advance(t *track) (err error) {
	if t.rec, t.tape, err = t.union.read(); err != io.EOF {
		return err
	}
	if t.rec = t.union.end; t.rec == nil {
		return l.over(t)
	}
	t.union.end = nil
	return nil
}

// over ends a recording. If the line goes on, its sources are closed.
func (l *timeLine) over(t *track) error {
	if !slices.ContainsFunc(l.tracks, func(o *track) bool { return o != t && o.rec != nil }) {
		return nil
	}
	for _, s := range t.open {
		p := &capture.Source{Kind: s.kind, Why: "its recording ended"}
		if err := l.make(l.seq+1, &made{capture.KindSource, s.number, p}); err != nil {
			return err
		}
	}
	return nil
}

func (l *timeLine) finish() error {
	l.end.Why = cmp.Or(l.end.Why, endOfMerge+"no tape was closed")
	slices.SortFunc(l.end.Totals, func(a, b capture.Total) int { return cmp.Compare(a.Source, b.Source) })
	return l.make(l.seq+1, &made{capture.KindEnd, 0, &l.end})
}

// total adds what a recording says of its sources at its end.
func (l *timeLine) total(t *track, list []capture.Total) {
	for _, n := range list {
		n.Source = t.numbers[n.Source]
		at := slices.IndexFunc(l.end.Totals, func(o capture.Total) bool { return o.Source == n.Source && o.Kind == n.Kind })
		if at < 0 {
			l.end.Totals = append(l.end.Totals, n)
			continue
		}
		o := &l.end.Totals[at]
		o.Received += n.Received
		o.Recorded += n.Recorded
		o.Lost += n.Lost
		o.Undecodable += n.Undecodable
		o.Bytes += n.Bytes
	}
}

// missing says of a recording's hole on the line that its sources have one.
func (l *timeLine) missing(t *track, from, to uint64, before *mergeTape) error {
	l.options.Say(fmt.Sprintf("%s on none of the tapes, before those of %s", numbersText(from, to), before.input.Name))
	gaps := t.open.gaps(render.Count(to-from+1, "record") + " on none of the merged tapes")
	for i := range gaps {
		if err := l.make(l.seq+1, &gaps[i]); err != nil {
			return err
		}
	}
	return nil
}

// record puts a track's record onto the line.
func (l *timeLine) record(t *track) error {
	r := *t.rec
	r.At = max(l.at, replay.AddTime(t.offset, r.At))
	r.Source = t.numbers[r.Source]
	if r.Kind == capture.KindEnd {
		l.at = r.At
		var e capture.End
		if r.Decode(&e) == nil {
			l.end.Why = e.Why
			l.total(t, e.Totals)
		}
		return nil
	}
	if !l.adapt(t, &r) {
		return nil
	}
	if r.Seq != 0 {
		if l.mixed = l.mixed || t != l.tracks[0]; l.mixed {
			r.Seq = l.seq + 1
		}
		t.seqs[t.count%len(t.seqs)] = [2]uint64{t.rec.Seq, r.Seq}
		t.count++
	}
	t.open.record(&r)
	return l.write(&r)
}

// adapt changes what a record says of other records, and of times. It returns
// false for a record that has no place on the line.
func (l *timeLine) adapt(t *track, r *capture.Record) bool {
	switch r.Kind {
	case capture.KindCarry:
		return l.carry(t)
	case capture.KindTick:
		var p capture.Tick
		if t.tick = !l.told(t, r.At, func(o *recording) bool { return o.ticks }); !t.tick || r.Decode(&p) != nil {
			return t.tick
		}
		l.ticks++
		p.Number = l.ticks
		return set(r, &p)
	case capture.KindWitness:
		var p capture.Witness
		if !t.tick || r.Decode(&p) != nil {
			return t.tick
		}
		p.Tick = l.ticks
		return set(r, &p)
	case capture.KindClock:
		return !l.told(t, r.At, func(*recording) bool { return true })
	case capture.KindFault:
		var p capture.Fault
		if r.Decode(&p) != nil {
			return true
		}
		p.Record = t.mapped(p.Record)
		return set(r, &p)
	}
	t.shift(r)
	return true
}

// shift moves the times that payloads hold.
func (t *track) shift(r *capture.Record) {
	if t.offset == 0 {
		return
	}
	switch r.Kind {
	case capture.KindProcNet:
		var p capture.ProcNet
		if r.Decode(&p) == nil {
			p.ReadStart, p.ReadEnd = replay.AddTime(p.ReadStart, t.offset), replay.AddTime(p.ReadEnd, t.offset)
			set(r, &p)
		}
	case capture.KindProcUnchanged:
		var p capture.ProcUnchanged
		if r.Decode(&p) == nil {
			p.Checked = replay.AddTime(p.Checked, t.offset)
			set(r, &p)
		}
	}
}

func set(r *capture.Record, p capture.Payload) bool {
	r.Payload = capture.AppendPayload(nil, p)
	return true
}

// told reports whether a recording that was named before the track's tells
// what happened at a time.
func (l *timeLine) told(t *track, at int64, tells func(*recording) bool) bool {
	return slices.ContainsFunc(l.tracks, func(o *track) bool {
		return o.order < t.order && tells(o.recording) && o.covers(at)
	})
}

// carry reports whether what a tape carries can be taken: only at the head of
// the line, as it takes the place of all that was known before.
func (l *timeLine) carry(t *track) bool {
	if !l.mixed && t == l.tracks[0] {
		return true
	}
	if !t.tape.told {
		t.tape.told = true
		l.options.Say(fmt.Sprintf("%s: the state that it carries has no place on a line with other recordings; what was there before it began may be missing", t.tape.input.Name))
	}
	return false
}

// mapped is the number on the line of a record that stands not far back.
func (t *track) mapped(seq uint64) uint64 {
	for _, p := range t.seqs {
		if p[0] == seq {
			return p[1]
		}
	}
	return 0
}

// place finds where the recordings' times are on the line: where the wall clock
// of the line, with its steps, is at their start.
func place(list []*recording) {
	slices.SortStableFunc(list, func(a, b *recording) int {
		return cmp.Or(cmp.Compare(a.header().Start, b.header().Start), cmp.Compare(a.order, b.order))
	})
	start := list[0].header().Start
	for i, r := range list {
		steps := wallSteps(list[:i])
		at, moved := int64(0), int64(0)
		for n := 0; ; n++ {
			at = replay.AddTime(r.header().Start, -replay.AddTime(start, moved))
			if n > 0 {
				at = max(at, steps[n-1].at) // the clock jumped over it
			}
			if n == len(steps) || at < steps[n].at {
				break
			}
			moved += steps[n].step
		}
		r.offset = at
	}
}

// wallSteps lists the steps of the wall clock that stand on the line, of the
// recordings that are placed.
func wallSteps(list []*recording) (steps []clockStep) {
	for _, r := range list {
		for _, s := range r.steps {
			at := replay.AddTime(r.offset, s.at)
			if !slices.ContainsFunc(list, func(o *recording) bool { return o.order < r.order && o.covers(at) }) {
				steps = append(steps, clockStep{at, s.step})
			}
		}
	}
	slices.SortStableFunc(steps, func(a, b clockStep) int { return cmp.Compare(a.at, b.at) })
	return steps
}

// A lineSource is a source on the line.
type lineSource struct {
	seenSource
	by []*recording
}

// number gives the recordings' sources their numbers on the line. The first
// keeps its own. What sees the same in recordings that follow one another is one
// source, that was closed and opened again; at the same time they are two.
func number(list []*recording) {
	var held []*lineSource
	next := uint32(5) // those below have a kind by convention
	for _, r := range list {
		for _, s := range r.sources {
			if s.number < math.MaxUint32 {
				next = max(next, s.number+1)
			}
		}
	}
	for _, r := range list {
		r.numbers = map[uint32]uint32{0: 0}
		for _, s := range r.sources {
			at := slices.IndexFunc(held, func(h *lineSource) bool { return h.id == s.id && !slices.ContainsFunc(h.by, r.overlaps) })
			if at < 0 {
				n := s
				if slices.ContainsFunc(held, func(h *lineSource) bool { return h.number == s.number }) {
					n.number, next = next, next+1
				}
				held = append(held, &lineSource{seenSource: n})
				at = len(held) - 1
			}
			held[at].by = append(held[at].by, r)
			r.numbers[s.number] = held[at].number
		}
	}
}

func (r *recording) overlaps(o *recording) bool {
	return replay.AddTime(o.offset, o.from) <= replay.AddTime(r.offset, r.to) && replay.AddTime(r.offset, r.from) <= replay.AddTime(o.offset, o.to)
}

// covers reports whether a time of the line is within the recording.
func (r *recording) covers(at int64) bool {
	return replay.AddTime(r.offset, r.from) <= at && at <= replay.AddTime(r.offset, r.to)
}
