package edit

import (
	"errors"
	"io"

	"github.com/topotape/topotape/capture"
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
	parents, err := parentsOf(inputs)
	if err != nil {
		return nil, err
	}
	c := &cutter{options: o, parents: parents, to: out, tapes: tapes}
	if err := c.readWindow(); err != nil {
		return nil, err
	}
	if !c.begun() {
		return nil, c.emptyWindow()
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	return &c.summary, nil
}
