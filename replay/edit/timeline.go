package edit

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
)

// A timeLine merges several recordings of one host by time. Records with equal
// times are in the order in which their tapes were named. Where recordings overlap,
// ticks and clock records are those of the recording that was named first.
type timeLine struct {
	out     *mergeWriter
	say     func(string)
	tracks  []*track // all, by start
	ticking []*track // those with ticks
	live    []*track // those that have a next record
	// renumber says that records get new numbers. While all records are from the
	// first recording they keep theirs, because a carry refers to them.
	renumber bool
	ticks    uint64         // on the line
	end      capture.End    // made of the ends of all recordings
	carries  []*scannedTape // those whose carry is left out
}

// mergeTimeLine writes the records of several recordings.
func mergeTimeLine(out *mergeWriter, recordings []*recording, say func(string)) error {
	out.writer.witnesses.incomplete = true
	l := &timeLine{out: out, say: say, tracks: placeRecordings(recordings)}
	numberSources(l.tracks)
	for _, t := range l.tracks {
		if t.recording.ticks {
			l.ticking = append(l.ticking, t)
		}
		t.reader = newRecordingReader(t.recording)
		defer t.reader.close()
	}
	l.live = slices.Clone(l.tracks)
	for _, t := range l.tracks {
		if err := l.advance(t); err != nil {
			return err
		}
	}
	for len(l.live) > 0 {
		t := slices.MinFunc(l.live, compareNext)
		if err := l.put(t); err != nil {
			return err
		}
		if err := l.advance(t); err != nil {
			return err
		}
	}
	return l.finish()
}

// advance reads the next record of a track.
func (l *timeLine) advance(t *track) (err error) {
	for {
		t.next, err = t.reader.next()
		switch {
		case err == io.EOF:
			l.live = slices.DeleteFunc(l.live, func(o *track) bool { return o == t })
			return l.closeSources(t)
		case err != nil:
			return err
		case t.next.record != nil:
			return nil
		}
		if err := l.addMissing(t); err != nil {
			return err
		}
	}
}

// closeSources closes the sources of a track that ends before the line does.
func (l *timeLine) closeSources(t *track) error {
	if len(l.live) == 0 {
		return nil
	}
	for _, s := range t.open {
		closed := newSource(s.number, capture.Source{Kind: s.kind, Why: "its recording ended"})
		if err := l.out.add(l.out.seq+1, &closed); err != nil {
			return err
		}
	}
	return nil
}

// addMissing reports records of a recording that are on none of its tapes, and adds
// a gap of each of its sources.
func (l *timeLine) addMissing(t *track) error {
	m := t.next.missing
	l.say(fmt.Sprintf("%s on none of the tapes, before those of %s", numbersText(m.from, m.to), t.next.tape.input.Name))
	for _, gap := range t.open.gaps(m.why()) {
		if err := l.out.add(l.out.seq+1, &gap); err != nil {
			return err
		}
	}
	return nil
}

// put writes the next record of a track.
func (l *timeLine) put(t *track) error {
	r := *t.next.record
	r.At = max(l.out.at, t.lineTime(r.At))
	r.Source = t.numbers[r.Source]
	if r.Kind == capture.KindEnd {
		l.out.at = r.At
		var e capture.End
		if r.Decode(&e) == nil {
			l.end.Why = e.Why
			l.addTotals(t, e.Totals)
		}
		return nil
	}
	if !l.adapt(t, &r) {
		return nil
	}
	if r.Seq != 0 {
		if l.renumber = l.renumber || t != l.tracks[0]; l.renumber {
			r.Seq = l.out.seq + 1
		}
		t.renumbered.add(t.next.record.Seq, r.Seq)
	}
	t.open.update(&r)
	return l.out.write(&r)
}

// adapt changes the record numbers, tick numbers and times in a record's payload to
// those of the line. It returns false for a record that is left out.
func (l *timeLine) adapt(t *track, r *capture.Record) bool {
	switch r.Kind {
	case capture.KindCarry:
		return l.keepCarry(t)
	case capture.KindTick:
		var p capture.Tick
		if t.tickKept = !t.namedAfter(l.ticking, r.At); !t.tickKept || r.Decode(&p) != nil {
			return t.tickKept
		}
		l.ticks++
		p.Number = l.ticks
		setPayload(r, &p)
	case capture.KindWitness:
		var p capture.Witness
		if !t.tickKept || r.Decode(&p) != nil {
			return t.tickKept
		}
		p.Tick = l.ticks
		setPayload(r, &p)
	case capture.KindClock:
		return !t.namedAfter(l.tracks, r.At)
	case capture.KindFault:
		var p capture.Fault
		if r.Decode(&p) == nil {
			p.Record = t.renumbered.get(p.Record)
			setPayload(r, &p)
		}
	default:
		t.shiftTimes(r)
	}
	return true
}

// keepCarry reports whether a carry is kept: only at the start of the line, because
// a core that reads it drops all that it knew before.
func (l *timeLine) keepCarry(t *track) bool {
	if !l.renumber && t == l.tracks[0] {
		return true
	}
	if tape := t.next.tape; !slices.Contains(l.carries, tape) {
		l.carries = append(l.carries, tape)
		l.say(fmt.Sprintf("%s: its carry is left out, because records of another recording precede it; connections from before its start may be missing", tape.input.Name))
	}
	return false
}

// addTotals adds the totals that a recording has at its end.
func (l *timeLine) addTotals(t *track, list []capture.Total) {
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

func (l *timeLine) finish() error {
	l.end.Why = cmp.Or(l.end.Why, endOfMerge+"no tape was closed")
	slices.SortFunc(l.end.Totals, func(a, b capture.Total) int { return cmp.Compare(a.Source, b.Source) })
	end := newEnd(l.end)
	return l.out.add(l.out.seq+1, &end)
}
