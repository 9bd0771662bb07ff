package edit

import (
	"errors"
	"io"
	"math"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
)

// CutOptions are the options of Cut.
type CutOptions struct {
	Window replay.Window
	Tool   string   // version, for the header
	Args   []string // of the command line, for the header: those that decide the result
	// Growing reports whether a tape is still being written. Then it is no loss that
	// it is not closed. If nil, no tape is.
	Growing func(name string) bool
}

// A CutSummary describes the result of Cut.
type CutSummary struct {
	Header    *capture.Header // of the new tape
	Records   uint64          // from the window
	Ticks     uint64          // from the window
	Evidence  uint64          // records kept from before the window
	From, To  int64           // Unix ns of the window's first and last record
	Size      int64           // bytes
	Missing   []string        // what the new tape lacks, one text for each cause
	Witnesses uint64          // in the window, of this core version
	Differ    uint64          // those of them that this core does not reproduce
}

var errEmptyWindow = errors.New("no record within the window")

// Cut writes the records of a window as a new tape, which replays to the same
// reports as the whole tapes do in that window, byte for byte. The new tape has
//
//   - the most important records from before the window (reporter.Evidence), for
//     cores that cannot read a carry,
//   - a carry of each rule set: the state of the core before the window,
//   - the records of the window, and another carry where the state of the cores
//     changes by something that is not on the new tape.
//
// The inputs are read several times and must not change while Cut runs, except
// that they may grow. If no record is in the window, Cut writes nothing and returns
// an error. Damaged and missing parts of the tapes are no error: the summary
// lists them.
func Cut(out io.Writer, inputs []replay.Input, o CutOptions) (*CutSummary, error) {
	tapes, err := replay.Open(inputs, o.Window)
	if err != nil {
		return nil, err
	}
	defer tapes.Close()
	tapes.KeepUnknown()
	parents, err := parentsOf(inputs)
	if err != nil {
		return nil, err
	}
	derived := capture.Derived{Verb: "cut", Parent: parents[0].TapeID, SHA256: parents[0].SHA256, Args: o.Args, Others: parents[1:]}
	c := &cutter{
		tapes: tapes,
		cores: cutCores{tape: -1},
		cut:   cutTape{out: out, derived: derived, tool: o.Tool},
	}
	if err := c.readWindow(); err != nil {
		return nil, err
	}
	if !c.cut.begun() {
		return nil, c.emptyWindow(o.Window)
	}
	if err := c.finish(o.Growing); err != nil {
		return nil, err
	}
	return &c.cut.summary, nil
}

// A cutTape is the tape that Cut writes, with its summary.
type cutTape struct {
	out     io.Writer
	derived capture.Derived
	tool    string
	tape    *tape.Writer // nil before the window's first record
	ended   bool         // the last record of the window is an end
	summary CutSummary
}

func (t *cutTape) begun() bool { return t.tape != nil }

// begin writes the head. The window begins at from, in Unix ns, on a tape with
// the header h.
func (t *cutTape) begin(h *capture.Header, from int64) (err error) {
	t.summary.Header = deriveHeader(h, t.derived, t.tool)
	t.summary.From = from
	t.tape, err = tape.NewWriter(t.out, t.summary.Header)
	return err
}

func (t *cutTape) missing(text string) { t.summary.Missing = append(t.summary.Missing, text) }

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
