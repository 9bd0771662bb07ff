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
}

func newTapeWriter(out io.Writer, h *capture.Header) (*tapeWriter, error) {
	tape, err := tape.NewWriter(out, h)
	if err != nil {
		return nil, err
	}
	core, err := replay.NewCore(h, reporter.RulesCurrent)
	if err != nil {
		return nil, err
	}
	return &tapeWriter{header: h, tape: tape, witnesses: witnessMaker{core: core}, written: newChecksum()}, nil
}

// write writes a record of a parent. The core must have seen it.
func (w *tapeWriter) write(r *capture.Record) error {
	rewritten, keep := w.witnesses.rewrite(r)
	if !keep {
		return nil
	}
	return w.put(&rewritten)
}

// add steps the core through a record that the verb adds, and writes it.
func (w *tapeWriter) add(seq uint64, at int64, a *addition) error {
	r := capture.Record{Seq: seq, At: at, Kind: a.kind, Source: a.source, Payload: capture.AppendPayload(nil, a.payload)}
	w.witnesses.stepReporting(&r)
	return w.put(&r)
}

func (w *tapeWriter) put(r *capture.Record) error {
	w.written.add(r)
	return w.tape.Write(r)
}

// An addition is a record that a verb adds, without its number and time.
type addition struct {
	kind    capture.Kind
	source  uint32
	payload capture.Payload
}

func newGap(source uint32, lost uint64, why string) addition {
	return addition{capture.KindGap, source, &capture.Gap{Lost: lost, Why: why}}
}

func newSource(number uint32, s capture.Source) addition {
	return addition{capture.KindSource, number, &s}
}

func newEnd(e capture.End) addition { return addition{capture.KindEnd, 0, &e} }
