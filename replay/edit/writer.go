package edit

import (
	"bytes"
	"io"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
)

// A tapeWriter writes a derived tape. It steps a core through the records and replaces
// the parents' witnesses by those of this core version. The core has the current rules,
// which production uses by default. It may see more records than the tape gets. The
// checksum of the records is for readBack.
type tapeWriter struct {
	header  *capture.Header
	tape    *tape.Writer
	written checksum
	seq     uint64 // highest number on the tape
	at      int64  // time of its last record

	core    *replay.Core
	tick    uint64           // number of the tick that digests belongs to
	digests *capture.Digests // of the report at the last tick; nil if there is no report
	// incomplete says that records before this place are missing, so that the
	// parents' witnesses prove nothing.
	incomplete bool
	compared   uint64 // witnesses of the parents that have this core version
	differ     uint64 // those of them that this core does not reproduce
}

func newTapeWriter(out io.Writer, h *capture.Header) (*tapeWriter, error) {
	core, err := replay.NewCore(h, reporter.RulesCurrent)
	if err != nil {
		return nil, err
	}
	w := &tapeWriter{core: core}
	return w, w.begin(out, h)
}

// begin writes the head.
func (w *tapeWriter) begin(out io.Writer, h *capture.Header) (err error) {
	w.header, w.written = h, newChecksum()
	w.tape, err = tape.NewWriter(out, h)
	return err
}

// write steps the core through a record of a parent and writes it.
func (w *tapeWriter) write(r *capture.Record) error {
	w.step(r)
	w.seq, w.at = max(w.seq, r.Seq), r.At
	rewritten, keep := w.rewrite(r)
	if !keep {
		return nil
	}
	return w.put(&rewritten)
}

// add steps the core through records that the verb adds, and writes them with
// consecutive numbers, at the time of the last record.
func (w *tapeWriter) add(seq uint64, list ...capture.Record) error {
	for _, r := range list {
		r.Seq, r.At = seq, w.at
		w.step(&r)
		w.seq = seq
		seq++
		if err := w.put(&r); err != nil {
			return err
		}
	}
	return nil
}

// step steps the core and makes the report of a tick.
func (w *tapeWriter) step(r *capture.Record) {
	tick, panicked := w.core.Step(r)
	if tick || panicked != nil {
		w.digests = nil
	}
	var t capture.Tick
	if !tick || r.Decode(&t) != nil {
		return
	}
	w.tick = t.Number
	if report, panicked := w.core.Report(); panicked == nil {
		digests := report.Digests()
		w.digests = &digests
	}
}

// rewrite returns what the tape gets for a record that the core has seen, and
// false if it gets nothing. Only witnesses change, and they keep their numbers:
//
//   - A witness of the current rules is replaced, unless it has this core version
//     and differs: then it stays, because it proves a difference. Where records are
//     missing before it, it proves nothing and is replaced too.
//   - A witness of other rules stays, but is left out where records are missing
//     before it.
func (w *tapeWriter) rewrite(r *capture.Record) (capture.Record, bool) {
	if r.Kind != capture.KindWitness || w.digests == nil {
		return *r, true
	}
	var p capture.Witness
	if r.Decode(&p) != nil || p.Tick != w.tick {
		return *r, true
	}
	if p.Rules != reporter.RulesCurrent {
		return *r, !w.incomplete
	}
	if p.Core == reporter.CoreVersion && !w.incomplete {
		w.compared++
		if p.Digests != *w.digests {
			w.differ++
			return *r, true
		}
	}
	p.Core, p.Digests = reporter.CoreVersion, *w.digests
	replaced := *r
	replaced.Payload = capture.AppendPayload(nil, &p)
	return replaced, true
}

func (w *tapeWriter) put(r *capture.Record) error {
	w.written.add(r)
	return w.tape.Write(r)
}

// newRecord returns a record without its number and time.
func newRecord(kind capture.Kind, source uint32, p capture.Payload) capture.Record {
	return capture.Record{Kind: kind, Source: source, Payload: capture.AppendPayload(nil, p)}
}

// cloned returns a record with a payload of its own.
func cloned(r *capture.Record) capture.Record {
	c := *r
	c.Payload = bytes.Clone(r.Payload)
	return c
}

func newGap(source uint32, lost uint64, why string) capture.Record {
	return newRecord(capture.KindGap, source, &capture.Gap{Lost: lost, Why: why})
}
