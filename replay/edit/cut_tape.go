package edit

import (
	"io"
	"math"
	"strings"

	"github.com/topotape/topotape/capture"
)

// A cutTape is the tape that Cut writes, with its summary.
type cutTape struct {
	out     io.Writer
	derived capture.Derived
	tool    string
	tape    *capture.Writer // nil before the window's first record
	ended   bool            // the last record of the window is an end
	summary CutSummary
}

func (t *cutTape) begun() bool { return t.tape != nil }

// begin writes the head. The window begins at from, in Unix ns, on a tape with
// the header h.
func (t *cutTape) begin(h *capture.Header, from int64) (err error) {
	t.summary.Header = deriveHeader(h, t.derived, t.tool)
	t.summary.From = from
	t.tape, err = capture.NewWriter(t.out, t.summary.Header)
	return err
}

func (t *cutTape) missing(text string) { t.summary.Missing = append(t.summary.Missing, text) }

func (t *cutTape) writeEvidence(r *capture.Record) error {
	t.summary.Evidence++
	return t.tape.Write(r)
}

func (t *cutTape) writeCarry(part *capture.Carry, at int64) error {
	return t.tape.Write(&capture.Record{At: at, Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, part)})
}

// count counts a record of the window, whose wall time is in Unix ns.
func (t *cutTape) count(r *capture.Record, wall int64) {
	t.summary.Records++
	if r.Kind == capture.KindTick {
		t.summary.Ticks++
	}
	t.summary.To = wall
	t.ended = r.Kind == capture.KindEnd
}

// close ends the tape after its last record.
func (t *cutTape) close(last *capture.Record) error {
	if !t.ended && last.Seq < math.MaxUint64 { // else there is no free number
		end := &capture.End{Why: strings.Join(append([]string{endOfCut}, t.summary.Missing...), "; ")}
		r := capture.Record{Seq: last.Seq + 1, At: last.At, Kind: capture.KindEnd, Payload: capture.AppendPayload(nil, end)}
		if err := t.tape.Write(&r); err != nil {
			return err
		}
	}
	err := t.tape.Close()
	t.summary.Size = t.tape.Size()
	return err
}
