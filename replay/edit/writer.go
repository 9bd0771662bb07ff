package edit

import (
	"io"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
)

// A tapeWriter writes a derived tape and makes its witnesses. It keeps a checksum
// of what it writes, for readBack.
type tapeWriter struct {
	header    *capture.Header
	tape      *tape.Writer
	witnesses witnessMaker
	written   checksum
	seq       uint64 // highest number on the tape
	at        int64  // time of its last record
}

func newTapeWriter(out io.Writer, h *capture.Header) (*tapeWriter, error) {
	core, err := replay.NewCore(h, reporter.RulesCurrent)
	if err != nil {
		return nil, err
	}
	w := &tapeWriter{witnesses: witnessMaker{core: core}}
	return w, w.begin(out, h)
}

// begin writes the head.
func (w *tapeWriter) begin(out io.Writer, h *capture.Header) (err error) {
	w.header, w.written = h, newChecksum()
	w.tape, err = tape.NewWriter(out, h)
	return err
}

// write writes a record of a parent. The core must have seen it.
func (w *tapeWriter) write(r *capture.Record) error {
	w.seq, w.at = max(w.seq, r.Seq), r.At
	rewritten, keep := w.witnesses.rewrite(r)
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
		w.witnesses.stepReporting(&r)
		w.seq = seq
		seq++
		if err := w.put(&r); err != nil {
			return err
		}
	}
	return nil
}

func (w *tapeWriter) put(r *capture.Record) error {
	w.written.add(r)
	return w.tape.Write(r)
}

// newRecord returns a record without its number and time.
func newRecord(kind capture.Kind, source uint32, p capture.Payload) capture.Record {
	return capture.Record{Kind: kind, Source: source, Payload: capture.AppendPayload(nil, p)}
}

func newGap(source uint32, lost uint64, why string) capture.Record {
	return newRecord(capture.KindGap, source, &capture.Gap{Lost: lost, Why: why})
}
