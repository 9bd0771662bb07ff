package edit

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/render"
)

// A timeLine merges the recordings of one host by time. Records with equal times are
// in the order in which their tapes were named. Where recordings overlap, ticks and
// clock records are those of the recording that was named first. The records of a
// recording that is alone stay as they are.
type timeLine struct {
	out        *tapeWriter
	say        func(string)
	recordings []*recording // all, by start
	ticking    []*recording // those with ticks
	live       []*recording // those that have a next record
	alone      bool         // there is one recording
	ended      bool         // it is alone, and the last record is its end
	incomplete bool         // witnesses of the recordings prove nothing
	// renumber says that records get new numbers. While all records are from the
	// first recording they keep theirs, because a carry refers to them.
	renumber bool
	ticks    uint64      // on the line
	end      capture.End // made of the ends of all recordings
}

// mergeRecordings writes the records of the recordings. It sorts them by start.
func mergeRecordings(out *tapeWriter, recordings []*recording, say func(string)) error {
	alone := len(recordings) == 1
	l := &timeLine{out: out, say: say, recordings: recordings, alone: alone, incomplete: !alone}
	placeRecordings(recordings)
	numberSources(recordings)
	for _, r := range recordings {
		if r.ticks {
			l.ticking = append(l.ticking, r)
		}
		r.reader = newRecordingReader(r)
		defer r.reader.close()
	}
	l.live = slices.Clone(recordings)
	for _, r := range recordings {
		if err := l.advance(r); err != nil {
			return err
		}
	}
	for len(l.live) > 0 {
		r := slices.MinFunc(l.live, compareNext)
		if err := l.put(r); err != nil {
			return err
		}
		if err := l.advance(r); err != nil {
			return err
		}
	}
	return l.finish()
}

// advance reads the next record of a recording.
func (l *timeLine) advance(t *recording) (err error) {
	for {
		t.next, err = t.reader.next()
		switch {
		case err == io.EOF:
			l.live = slices.DeleteFunc(l.live, func(o *recording) bool { return o == t })
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

// closeSources closes the sources of a recording that ends before the line does.
func (l *timeLine) closeSources(t *recording) error {
	if len(l.live) == 0 {
		return nil
	}
	var closed []capture.Record
	for _, s := range t.open {
		closed = append(closed, newRecord(capture.KindSource, s.number, &capture.Source{Kind: s.kind, Why: "its recording ended"}))
	}
	return l.out.add(l.out.seq+1, closed...)
}

// addMissing reports records of a recording that are on none of its tapes, and adds
// a gap of each of its sources. If records keep their numbers, the gaps have those of
// the missing records, as far as there are enough. A recording that is alone needs no
// gaps if a carry with the state of the cores follows: the reports are right all the
// same.
func (l *timeLine) addMissing(t *recording) error {
	m := &t.next
	line := fmt.Sprintf("%s on none of the tapes, before those of %s", numbersText(m.from, m.to, ""), m.tape.input.Name)
	if l.alone && m.carried {
		l.say(line + "; a carry of the state follows")
		return nil
	}
	l.say(line)
	l.incomplete = true
	missing := m.to - m.from + 1
	gaps := t.open.gaps(render.Count(missing, "record") + " on none of the merged tapes")
	if l.renumber {
		return l.out.add(l.out.seq+1, gaps...)
	}
	return l.out.add(m.from, gaps[:min(uint64(len(gaps)), missing)]...)
}

// put writes the next record of a recording.
func (l *timeLine) put(t *recording) error {
	r := *t.next.record
	if l.alone {
		l.ended = r.Kind == capture.KindEnd
		return l.write(t, &r)
	}
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
		if l.renumber = l.renumber || t != l.recordings[0]; l.renumber {
			r.Seq = l.out.seq + 1
		}
		t.renumbered.add(t.next.record.Seq, r.Seq)
	}
	return l.write(t, &r)
}

func (l *timeLine) write(t *recording, r *capture.Record) error {
	t.open.update(r)
	l.out.incomplete = l.incomplete || t.next.tape.recovered()
	return l.out.write(r)
}

// adapt changes the record numbers, tick numbers and times in a record's payload to
// those of the line. It returns false for a record that is left out.
func (l *timeLine) adapt(t *recording, r *capture.Record) bool {
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
		return !t.namedAfter(l.recordings, r.At)
	case capture.KindFault:
		var p capture.Fault
		if r.Decode(&p) == nil {
			p.Record = t.renumbered.get(p.Record)
			setPayload(r, &p)
		}
	case capture.KindGap:
		var p capture.Gap
		if t.offset != 0 && r.Decode(&p) == nil && p.Since != 0 {
			p.Since = t.lineTime(p.Since)
			setPayload(r, &p)
		}
	case capture.KindProcNet:
		var p capture.ProcNet
		if t.offset != 0 && r.Decode(&p) == nil {
			p.ReadStart, p.ReadEnd = t.lineTime(p.ReadStart), t.lineTime(p.ReadEnd)
			setPayload(r, &p)
		}
	case capture.KindSocketTable:
		var p capture.SocketTable
		if t.offset != 0 && r.Decode(&p) == nil {
			p.ReadStart, p.ReadEnd = t.lineTime(p.ReadStart), t.lineTime(p.ReadEnd)
			setPayload(r, &p)
		}
	case capture.KindProcUnchanged:
		var p capture.ProcUnchanged
		if t.offset != 0 && r.Decode(&p) == nil {
			p.Checked = t.lineTime(p.Checked)
			setPayload(r, &p)
		}
	}
	return true
}

func setPayload(r *capture.Record, p capture.Payload) { r.Payload = capture.AppendPayload(nil, p) }

// keepCarry reports whether a carry is kept: only at the start of the line, because
// a core that reads it drops all that it knew before.
func (l *timeLine) keepCarry(t *recording) bool {
	if !l.renumber && t == l.recordings[0] {
		return true
	}
	if tape := t.next.tape; !tape.carryLeftOut {
		tape.carryLeftOut = true
		l.say(fmt.Sprintf("%s: its carry is left out, because records of another recording precede it; connections from before its start may be missing", tape.input.Name))
	}
	return false
}

// addTotals adds the totals that a recording has at its end.
func (l *timeLine) addTotals(t *recording, list []capture.Total) {
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
	if l.ended {
		return nil
	}
	why := "no tape was closed"
	if l.alone {
		why = "the last tape was not closed"
	}
	l.end.Why = cmp.Or(l.end.Why, endOfMerge+why)
	slices.SortFunc(l.end.Totals, func(a, b capture.Total) int { return cmp.Compare(a.Source, b.Source) })
	return l.out.add(l.out.seq+1, newRecord(capture.KindEnd, 0, &l.end))
}
