package edit

import (
	"fmt"
	"math"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/render"
)

// losses describes what a tape has lost.
type losses struct {
	any     bool   // something is lost
	records uint64 // how many record numbers, as far as known
	end     bool   // the end is missing: unknown records may be lost after the last one
	counted bool   // the index lists all that is lost after the last record
}

// noteLoss records that something is lost: from here on, the witnesses of the
// broken tape prove nothing.
func (w *rescue) noteLoss() { w.lost.any, w.out.incomplete = true, true }

// addGaps reports the damage before a record and adds gap records for it. They
// have the first of the missing numbers. Before the first record of the tape they
// have the last ones, because it is not known with which number the tape begins.
func (w *rescue) addGaps(next *capture.Record) error {
	d := w.damage
	w.damage = nil
	missing := next.Seq - w.out.seq - 1
	switch {
	case missing == 0 && w.facts.sparse():
		w.say(fmt.Sprintf("frame %d: %v: no record is lost, but a carry may be", d.Frame, d.Err))
		w.noteLoss()
		return nil
	case missing == 0:
		w.say(fmt.Sprintf("frame %d: %v; no record is lost", d.Frame, d.Err))
		return nil
	}
	w.noteLoss()
	first, chunks := w.out.seq+1, w.index.between(w.out.seq+1, next.Seq-1)
	where := fmt.Sprintf("between %s and %s", w.clock.text(w.out.at), w.clock.text(next.At))
	if w.out.seq == 0 {
		where = "before " + w.clock.text(next.At)
	}
	lost := missing
	if w.out.seq == 0 && !w.facts.fromOne() {
		lost, first = chunks.records, max(first, chunks.first)
	}
	w.lost.records += lost
	what, why := numbersText(first, next.Seq-1, w.atMost), render.Count(lost, "record")+" lost with the damaged part of the tape"
	if lost == 0 {
		what, why = fmt.Sprintf("everything before record %d is", next.Seq), "everything before was lost with the damaged part of the tape"
	}
	w.say(fmt.Sprintf("frame %d: %v: %s lost, %s", d.Frame, d.Err, what, where))
	gaps := append(w.open.gaps(why), w.unopenedGaps(why)...)
	if chunks.records == lost && lost > 0 {
		gaps = w.countedGaps(&chunks, why)
	}
	if uint64(len(gaps)) > missing { // there are no more free numbers
		gaps = gaps[:missing]
	}
	if w.out.seq == 0 {
		w.out.at = max(w.out.at, next.At)
		return w.add(next.Seq-uint64(len(gaps)), gaps)
	}
	return w.add(w.out.seq+1, gaps)
}

// addEnd ends a tape whose end is lost.
func (w *rescue) addEnd() error {
	chunks := w.index.between(w.out.seq+1, math.MaxUint64)
	damaged := w.damage != nil || w.tape.strayTail || w.tape.foot || chunks.records > 0
	why := "the tape was not closed"
	if damaged {
		why = "the end of the tape is damaged"
	}
	switch {
	case chunks.records > 0:
		w.lost.records += chunks.records
		w.lost.counted = w.tape.foot
		w.say(fmt.Sprintf("%s: %s lost, between %s and %s", why, numbersText(chunks.first, chunks.last, w.atMost), w.clock.text(w.out.at), w.clock.text(chunks.lastAt)))
	case w.saved == 0:
		w.say(why + ": everything after its head is lost")
	default:
		w.say(fmt.Sprintf("%s: anything after record %d, at %s, is lost", why, w.out.seq, w.clock.text(w.out.at)))
	}
	var list []capture.Record
	if damaged {
		w.noteLoss()
		list = w.open.gaps("anything after this is lost with the damaged end of the tape")
	}
	if w.lost.counted {
		list = w.countedGaps(&chunks, render.Count(chunks.records, "record")+" lost with the damaged end of the tape")
	}
	list = append(list, newRecord(capture.KindEnd, 0, &capture.End{Why: endOfRecover + why}))
	return w.add(w.out.seq+1, list)
}

// unopenedGaps returns a gap of each source that the tape shows only later, without
// its opening: it may have been open already.
func (w *rescue) unopenedGaps(why string) (list []capture.Record) {
	for _, s := range w.facts.unopened {
		if !w.open.has(s.number) && s.first > w.out.seq {
			list = append(list, w.gap(s.source, 0, why)...)
		}
	}
	return list
}

// countedGaps returns a gap of each source that has lost something, with the
// counts of the index.
func (w *rescue) countedGaps(chunks *chunkLoss, why string) (list []capture.Record) {
	for _, s := range chunks.sources {
		list = append(list, w.gap(s.source, s.lost, why)...)
	}
	return list
}

// gap returns a gap of a source. If the source is not open, and its number alone would
// imply another kind, the gap follows a record that opens it.
func (w *rescue) gap(s source, lost uint64, why string) []capture.Record {
	gap := newGap(s.number, lost, why)
	if w.open.has(s.number) || s.kind == "" || rank(s.kind)+1 == int(s.number) {
		return []capture.Record{gap}
	}
	return []capture.Record{newRecord(capture.KindSource, s.number, &capture.Source{Open: true, Kind: s.kind}), gap}
}

// numbersText returns a range of record numbers as the subject of a sentence. atMost is
// "at most " if not all of these numbers are of records, or else empty.
func numbersText(from, to uint64, atMost string) string {
	if from == to {
		return fmt.Sprintf("record %d is", from)
	}
	return fmt.Sprintf("records %d to %d (%s%d) are", from, to, atMost, to-from+1)
}

// summary describes the new tape in one line.
func (w *rescue) summary() string {
	line := render.Count(w.saved, "record") + " saved"
	if w.saved > 0 {
		line += fmt.Sprintf(", from %s to %s", w.first, w.clock.text(w.out.at))
	}
	lost := fmt.Sprintf("; %s%d lost", w.atMost, w.lost.records)
	switch {
	case w.lost.records > 0 && w.lost.end && !w.lost.counted:
		return line + lost + ", and anything after them"
	case w.lost.records > 0:
		return line + lost
	case w.lost.end:
		return line + "; anything after them is lost"
	case w.lost.any:
		return line + "; it is not known how many are lost"
	}
	return line + "; nothing is lost"
}
