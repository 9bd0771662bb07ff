package edit

import (
	"fmt"
	"math"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/render"
)

// hole says what is missing before a record, on the tape too if any number is.
// The gap records take the first numbers that are missing; before the first
// record of all it is the last ones, as what begins there is not known.
func (w *rescue) hole(next *capture.Record) error {
	d := w.damage
	w.damage = nil
	missing := next.Seq - w.seq - 1
	if missing == 0 && w.sparse {
		w.options.Say(fmt.Sprintf("frame %d: %v: no record is lost by it, but what the tape carries there may be", d.Frame, d.Err))
		w.lose()
		return nil
	}
	if missing == 0 {
		w.options.Say(fmt.Sprintf("frame %d: %v; no record is lost by it", d.Frame, d.Err))
		return nil
	}
	w.lose()
	from, loss := w.seq+1, w.index.between(w.seq+1, next.Seq-1)
	where := fmt.Sprintf("between %s and %s", w.when(w.at), w.when(next.At))
	if w.seq == 0 {
		where = "before " + w.when(next.At)
	}
	lost := missing
	if w.seq == 0 && !w.fromOne {
		lost, from = loss.records, max(from, loss.first)
	}
	w.lost += lost
	what, why := w.numbersText(from, next.Seq-1), render.Count(lost, "record")+" lost with the damaged part of the tape"
	if lost == 0 {
		what, why = fmt.Sprintf("what stood before record %d is", next.Seq), "what stood before was lost with the damaged part of the tape"
	}
	w.options.Say(fmt.Sprintf("frame %d: %v: %s lost, %s", d.Frame, d.Err, what, where))
	gaps := w.gaps(why, true)
	if loss.records == lost && lost > 0 {
		gaps = w.counts(&loss, why)
	}
	if uint64(len(gaps)) > missing { // no more numbers are free
		gaps = gaps[:missing]
	}
	seq, at := w.seq+1, w.at
	if w.seq == 0 {
		seq, at = next.Seq-uint64(len(gaps)), max(w.at, next.At)
	}
	return w.put(gaps, seq, at)
}

// close ends a tape whose end is lost.
func (w *rescue) close(r *remnant) error {
	why := "the tape was not closed"
	loss := w.index.between(w.seq+1, math.MaxUint64)
	torn := w.damage != nil || r.tail || r.foot || loss.records > 0
	if torn {
		why = "the end of the tape is damaged"
	}
	switch {
	case loss.records > 0:
		w.lost += loss.records
		w.counted = r.foot
		w.options.Say(fmt.Sprintf("%s: %s lost, between %s and %s", why, w.numbersText(loss.first, loss.last), w.when(w.at), w.when(loss.at)))
	case w.saved == 0:
		w.options.Say(why + ": what followed its head is lost")
	default:
		w.options.Say(fmt.Sprintf("%s: what followed record %d, at %s, is lost, if there was anything", why, w.seq, w.when(w.at)))
	}
	var last []made
	if torn {
		w.lose()
		last = w.gaps("what followed is lost with the damaged end of the tape", false)
	}
	if loss.records > 0 && r.foot {
		last = w.counts(&loss, render.Count(loss.records, "record")+" lost with the damaged end of the tape")
	}
	last = append(last, made{capture.KindEnd, 0, &capture.End{Why: endOfRecover + why}})
	return w.put(last, w.seq+1, w.at)
}

// lose says that from here on witnesses cannot be what they were.
func (w *rescue) lose() { w.holed, w.d.lossy = true, true }

// gaps makes a gap of every source that may have lost something. A source that
// the tape shows only later, without its opening, may have been open; that is
// said if its number alone would be taken for another kind's.
func (w *rescue) gaps(why string, orphans bool) (list []made) {
	list = w.open.gaps(why)
	for _, o := range w.orphans {
		if !orphans || w.open.has(o.number) || o.first <= w.seq {
			continue
		}
		if rank(o.kind)+1 != int(o.number) {
			list = append(list, made{capture.KindSource, o.number, &capture.Source{Open: true, Kind: o.kind}})
		}
		list = append(list, made{capture.KindGap, o.number, &capture.Gap{Why: why}})
	}
	return list
}

func (w *rescue) put(list []made, seq uint64, at int64) error {
	for i := range list {
		m := &list[i]
		w.open.change(m.source, m.payload)
		w.settle(seq)
		if err := w.d.add(capture.Record{Seq: seq, At: at, Kind: m.kind, Source: m.source}, m.payload); err != nil {
			return err
		}
		w.seq, w.at = seq, at
		seq++
	}
	return nil
}

// counts makes a gap of every source that has lost something, by what the index
// says.
func (w *rescue) counts(loss *chunkLoss, why string) (list []made) {
	for _, s := range loss.sources {
		if !w.open.has(s.number) && s.kind != "" && rank(s.kind)+1 != int(s.number) {
			list = append(list, made{capture.KindSource, s.number, &capture.Source{Open: true, Kind: s.kind}})
		}
		list = append(list, made{capture.KindGap, s.number, &capture.Gap{Lost: s.lost, Why: why}})
	}
	return list
}

func (w *rescue) numbersText(from, to uint64) string {
	text := numbersText(from, to)
	if w.sparse {
		text = strings.Replace(text, "(", "(at most ", 1)
	}
	return text
}

func numbersText(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("record %d is", from)
	}
	return fmt.Sprintf("records %d to %d (%d) are", from, to, to-from+1)
}
