package main

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/diff"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter/report"
)

// findLeads adds records that may explain the difference: on each tape the first
// record that the other tape lacks, and the first one after the last tick with equal
// connections that matches a connection that differs.
func findLeads(a, b *replay.Side, d *diff.Difference) error {
	if d.First == nil {
		return nil
	}
	sameTape := slices.EqualFunc(a.Inputs, b.Inputs, func(x, y replay.Input) bool { return x.Name == y.Name })
	if !a.Reports && !b.Reports && !sameTape {
		if err := firstDifferentRecords(a, b, d); err != nil {
			return err
		}
	}
	if d.FirstConnections == nil {
		return nil
	}
	selectors := differing(d)
	if len(selectors) == 0 {
		return nil
	}
	for i, s := range []*replay.Side{a, b} {
		if s.Reports || i == 1 && sameTape {
			continue
		}
		side := string("ab"[i])
		if sameTape {
			side = "both"
		}
		if err := firstMatchingRecord(s, side, i, selectors, d); err != nil {
			return err
		}
	}
	return nil
}

// differing returns selectors of the connections that differ in the first tick, by
// each of their addresses.
func differing(d *diff.Difference) (list []*fold.Selector) {
	known := map[string]bool{}
	add := func(x, y fmt.Stringer) {
		text := x.String() + " " + y.String()
		if s, err := fold.ParseSelector(text); err == nil && !known[text] {
			known[text] = true
			list = append(list, s)
		}
	}
	for i := range d.Groups {
		g := &d.Groups[i]
		if g.Section != diff.Connections || g.FirstTick != d.FirstConnections.Tick {
			continue
		}
		for _, e := range g.Examples {
			for _, text := range [][]byte{e.A, e.B} {
				c, err := report.ParseConnection(text)
				if err != nil { // the connection is not on that side
					continue
				}
				add(c.From.Addr, c.To.Addr)
				for _, n := range c.NAT {
					add(n.OriginalSrc, n.OriginalDst)
					add(n.ReplyDst, n.ReplySrc)
				}
			}
		}
	}
	return list
}

// firstMatchingRecord adds the first record of a side's tape that matches one of the
// selectors, between the last equal tick and the first different one.
func firstMatchingRecord(s *replay.Side, side string, number int, selectors []*fold.Selector, d *diff.Difference) error {
	recordOf := func(m *diff.Moment) uint64 {
		switch {
		case m == nil:
			return 0
		case number == 0:
			return m.RecordA
		}
		return m.RecordB
	}
	after, last := recordOf(d.EqualConnections), recordOf(d.FirstConnections)
	tapes, records := replay.Records(s.Inputs, replay.Window{})
	m := fold.RecordMatcher{Selectors: selectors, Format: tapes.Format()}
	for r, err := range records {
		switch {
		case err != nil: // the replay reports it
			return nil
		case r.Seq > last:
			return nil
		case r.Seq <= after || !m.Match(&r, tapes.Header().BigEndian):
			continue
		}
		found := lead(tapes, &r, side, "concerns")
		if !slices.ContainsFunc(d.Leads, func(l diff.Lead) bool { return l.Side == side && l.Record == found.Record }) {
			d.Leads = append(d.Leads, found)
		}
		return nil
	}
	return nil
}

func lead(tapes *replay.Tapes, r *capture.Record, side, why string) diff.Lead {
	text := strings.TrimSpace(render.RecordLine(tapes.Header(), tapes.Format(), r))
	return diff.Lead{Side: side, Record: r.Seq, At: time.Duration(r.At).String(), Why: why, Text: text}
}

// firstDifferentRecords adds the records of the first place at which two tapes differ.
// The comparison starts at the first record of the tape that starts later.
func firstDifferentRecords(a, b *replay.Side, d *diff.Difference) error {
	tapes := [2]*recordCursor{newCursor(a), newCursor(b)}
	defer tapes[0].stop()
	defer tapes[1].stop()
	for i, s := range tapes {
		if !s.next() {
			return nil
		}
		for other := tapes[1-i]; i == 1 && s.at() != other.at(); {
			if early := map[bool]*recordCursor{true: s, false: other}[s.at() < other.at()]; !early.next() {
				return nil
			}
		}
	}
	for {
		x, y := tapes[0], tapes[1]
		if !x.same(y) {
			for i, s := range tapes {
				if s.more {
					d.Leads = append(d.Leads, lead(s.tapes, &s.record, string("ab"[i]), "differs"))
				}
			}
			return nil
		}
		if !x.next() && !y.more {
			return nil
		}
		y.next()
	}
}

// recordCursor reads the records of a side, without those that the recorder itself
// adds.
type recordCursor struct {
	tapes  *replay.Tapes
	pull   func() (capture.Record, error, bool)
	stop   func()
	record capture.Record
	more   bool // record is valid
}

func newCursor(s *replay.Side) *recordCursor {
	tapes, records := replay.Records(s.Inputs, s.Window)
	pull, stop := iter.Pull2(records)
	return &recordCursor{tapes: tapes, pull: pull, stop: stop}
}

// next advances to the next record. Damage ends the records, as it ends a replay.
func (s *recordCursor) next() bool {
	for {
		r, err, ok := s.pull()
		s.more = ok && err == nil
		if !s.more {
			return false
		}
		switch r.Kind {
		case capture.KindCarry, capture.KindWitness, capture.KindEnd, capture.KindFault: // added by the recorder
			continue
		}
		s.record = r
		return true
	}
}

// at returns the record's time, Unix ns.
func (s *recordCursor) at() int64 { return s.tapes.Header().Start + s.record.At }

// same reports whether both records have the same content, or both sides have ended.
func (s *recordCursor) same(o *recordCursor) bool {
	if !s.more || !o.more {
		return s.more == o.more
	}
	return s.at() == o.at() && s.record.Kind == o.record.Kind && s.record.Source == o.record.Source && bytes.Equal(s.record.Payload, o.record.Payload)
}
