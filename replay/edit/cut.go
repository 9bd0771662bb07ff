package edit

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
)

// CutOptions of Cut.
type CutOptions struct {
	Window replay.Window
	Tool   string   // version of what cuts
	Args   []string // of its command line, that decide the result
	// Growing tells whether a tape is still being written: that it was not closed
	// is no loss then. Nil is that none is.
	Growing func(name string) bool
}

// A CutSummary says what a Cut made and met.
type CutSummary struct {
	Header    *capture.Header // of the cut
	Records   uint64          // of the window
	Ticks     uint64
	Evidence  uint64 // records before the window that were kept
	From, To  int64  // Unix ns of the window's first and last record
	Size      int64  // bytes
	Missing   []string
	Witnesses uint64 // in the window, of this core version
	Differ    uint64 // of those, not what this core makes
}

// ErrEmptyWindow says that there is nothing to cut out.
var ErrEmptyWindow = errors.New("no record within the window")

// Cut writes a tape of the records that stand within a window. It begins with
// what the window needs of what came before, so that it replays to the same
// reports, byte for byte: a carry for each rule set. In front of those stand the
// records that matter most, for cores that cannot read a carry. The inputs are
// read several times and must not change meanwhile. Nothing is written if the window is
// empty. What is missing of the tapes is no error: the summary says it.
func Cut(out io.Writer, inputs []replay.Input, o CutOptions) (*CutSummary, error) {
	tapes, err := replay.Open(inputs, o.Window)
	if err != nil {
		return nil, err
	}
	defer tapes.Close()
	tapes.KeepUnknown()
	c := &cutter{out: out, options: o, tapes: tapes, tape: -1}
	if c.parents, err = parentsOf(inputs); err != nil {
		return nil, err
	}
	if err := c.read(); err != nil {
		return nil, err
	}
	if c.summary.Header == nil {
		return nil, c.empty()
	}
	return &c.summary, c.finish()
}

// parentsOf reads each input once, for its hash.
func parentsOf(inputs []replay.Input) (out []capture.Parent, err error) {
	for _, in := range inputs {
		f, err := in.Open()
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		all := io.TeeReader(f, sum)
		r, err := capture.NewReader(all)
		if err == nil {
			_, err = io.CopyBuffer(io.Discard, all, make([]byte, 1<<20))
		}
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.Name, err)
		}
		out = append(out, capture.Parent{TapeID: r.Header().TapeID, SHA256: [32]byte(sum.Sum(nil))})
	}
	return out, nil
}

// cutter is one Cut.
type cutter struct {
	out      io.Writer
	options  CutOptions
	tapes    *replay.Tapes
	parents  []capture.Parent
	tape     int    // number of the tape that the cores are at; -1 before the first
	segment  uint32 // its
	deriver  deriver
	older    *replay.Core // of the rules of 2016; nil once it panicked
	evidence *reporter.Evidence
	stepped  bool // the cores were shown records before the window
	moved    bool // within the window, the cores have come to know what its records do not tell
	hole     hole
	last     capture.Record // written or stepped, without its payload
	first    int64          // Unix ns of the first record of all
	now      int64          // and of the last one
	end      bool           // the last record written was that of a tape's end
	summary  CutSummary
}

func (c *cutter) read() error {
	it := new(replay.Item)
	for {
		err := c.tapes.Next(it)
		var damage *capture.DamageError
		switch {
		case err == io.EOF:
			return nil
		case errors.As(err, &damage):
			c.hole.add(err)
			c.deriver.lossy = true
			continue
		case err != nil:
			return err
		}
		if err := c.begin(it); err != nil {
			return err
		}
		if c.first == 0 {
			c.first = it.Wall()
		}
		c.now = it.Wall()
		if it.Place == replay.After {
			return c.bridge(&it.Record, true)
		}
		if err := c.record(it, it.Place == replay.Within); err != nil {
			return err
		}
	}
}

// begin goes on to the tape of the last record. One that does not follow on the
// one before it is what the cores know nothing of.
func (c *cutter) begin(it *replay.Item) error {
	if c.tape == it.Tape() {
		return nil
	}
	h := it.Header
	defer func() { c.segment = h.Segment }()
	first := c.tape < 0
	c.tape = it.Tape()
	if !first && it.Follows {
		return nil
	}
	if into := c.summary.Header; into != nil {
		if h.Origin() != into.Recording || h.Start != into.Start {
			return errors.New("the window spans tapes of different recordings: cut one after the other")
		}
		if h.Segment != c.segment {
			c.summary.Missing = append(c.summary.Missing, fmt.Sprintf("segment %d of the recording stands behind segment %d: the core begins anew there", h.Segment, c.segment))
		}
	}
	c.hole.close()
	current, err := replay.NewCore(h, reporter.RulesCurrent)
	if err != nil {
		return err
	}
	older, err := replay.NewCore(h, reporter.RulesScope2016)
	if err != nil {
		return err
	}
	c.deriver.core, c.older = current, older
	c.deriver.lossy = false
	c.moved = true
	if c.summary.Header == nil {
		c.evidence, c.stepped, c.moved, c.last = reporter.NewEvidence(h), false, false, capture.Record{}
	}
	return nil
}

// record takes a record into the cut, or only into what comes before it.
func (c *cutter) record(it *replay.Item, within bool) error {
	r := &it.Record
	if r.Kind == capture.KindCarry {
		if !it.Follows {
			c.carry(r, within)
		}
		return nil
	}
	for i := range it.Carry {
		c.carry(&it.Carry[i], within)
	}
	if err := c.bridge(r, within); err != nil {
		return err
	}
	return c.add(r, within)
}

// bridge says with gaps that records are missing before r.
func (c *cutter) bridge(r *capture.Record, within bool) error {
	for _, gap := range c.hole.gaps(&c.last, r) {
		if err := c.add(&gap, within && c.summary.Header != nil); err != nil {
			return err
		}
	}
	return nil
}

// carry shows the cores what another core knew. It is not copied: what ours knows
// then is written in its place.
func (c *cutter) carry(part *capture.Record, within bool) {
	c.step(part)
	c.moved = c.moved || within
	c.stepped = c.stepped || !within
}

func (c *cutter) add(r *capture.Record, within bool) error {
	c.hole.note(r)
	if !within {
		c.step(r)
		c.evidence.Add(r)
		c.stepped = true
		c.last = capture.Record{Seq: r.Seq, At: r.At}
		return nil
	}
	if c.summary.Header == nil {
		if err := c.enter(r); err != nil {
			return err
		}
	}
	if r.Seq <= c.last.Seq { // it is on the cut, or stands before it
		c.step(r)
		c.moved = true
		return nil
	}
	if c.moved {
		c.moved = false
		if err := c.writeCarries(r.At); err != nil {
			return err
		}
	}
	c.stepOlder(r)
	c.deriver.step(r)
	c.summary.Records++
	if r.Kind == capture.KindTick {
		c.summary.Ticks++
	}
	c.summary.To = c.now
	c.last, c.end = capture.Record{Seq: r.Seq, At: r.At}, r.Kind == capture.KindEnd
	return c.deriver.write(r)
}

// step shows the cores a record before the window.
func (c *cutter) step(r *capture.Record) {
	if c.deriver.core != nil {
		if _, panicked := c.deriver.core.Step(r); panicked != nil {
			c.panicked(r, reporter.RulesCurrent)
			c.deriver.core = nil
		}
	}
	c.stepOlder(r)
}

func (c *cutter) stepOlder(r *capture.Record) {
	if c.older == nil {
		return
	}
	if _, panicked := c.older.Step(r); panicked != nil {
		if c.summary.Header == nil {
			c.panicked(r, reporter.RulesScope2016)
		}
		c.older = nil
	}
}

func (c *cutter) panicked(r *capture.Record, rules string) {
	c.summary.Missing = append(c.summary.Missing, fmt.Sprintf("the core panics on record %d under the rules %s: what it knew is not on the cut", r.Seq, rules))
}

// enter writes what stands before the window's first record.
func (c *cutter) enter(r *capture.Record) error {
	d := capture.Derived{Verb: "cut", Parent: c.parents[0].TapeID, SHA256: c.parents[0].SHA256, Args: c.options.Args, Others: c.parents[1:]}
	c.summary.Header = deriveHeader(c.tapes.Header(), d, c.options.Tool)
	c.summary.From = c.now
	w, err := capture.NewWriter(c.out, c.summary.Header)
	if err != nil {
		return err
	}
	c.deriver.out = w
	if c.stepped {
		for _, e := range c.evidence.Records(r.At) {
			if err := w.Write(&e); err != nil {
				return err
			}
			c.summary.Evidence++
		}
		if err := c.writeCarries(c.last.At); err != nil {
			return err
		}
		c.moved = false
	}
	c.evidence = nil
	return nil
}

// writeCarries writes what the cores know.
func (c *cutter) writeCarries(at int64) error {
	for _, core := range [...]*replay.Core{c.deriver.core, c.older} {
		if core == nil {
			continue
		}
		parts := core.Carry()
		if parts == nil {
			c.summary.Missing = append(c.summary.Missing, "what the core knows at the cut is too much for a tape: reports of it may lack some")
		}
		for i := range parts {
			r := capture.Record{At: at, Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, &parts[i])}
			if err := c.deriver.out.Write(&r); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish closes the cut.
func (c *cutter) finish() error {
	s := &c.summary
	s.Witnesses, s.Differ = c.deriver.witnesses, c.deriver.differ
	for _, e := range c.tapes.Ends() {
		growing := c.options.Growing != nil && c.options.Growing(e.Name)
		switch {
		case growing:
			c.hole.tail = nil
		case e.Ending == capture.Cut:
			s.Missing = append(s.Missing, e.Name+" is cut: it was not closed, its last records may be missing")
		}
	}
	c.hole.close()
	s.Missing = append(c.hole.texts, s.Missing...)
	w := c.deriver.out
	if !c.end && c.last.Seq < math.MaxUint64 { // else no number is left
		why := &capture.End{Why: endOfCut}
		if len(s.Missing) > 0 {
			why.Why += "; " + strings.Join(s.Missing, "; ")
		}
		r := capture.Record{Seq: c.last.Seq + 1, At: c.last.At, Kind: capture.KindEnd, Payload: capture.AppendPayload(nil, why)}
		if err := w.Write(&r); err != nil {
			return err
		}
	}
	err := w.Close()
	s.Size = w.Size()
	return err
}

// empty says why there is nothing to cut out: a damaged tape may have more than
// can be read.
func (c *cutter) empty() error {
	text := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
	err := fmt.Errorf("%w: the tapes have no records", ErrEmptyWindow)
	if c.tape >= 0 {
		err = fmt.Errorf("%w from %s to %s: the records up to there are from %s to %s", ErrEmptyWindow,
			cmp.Or(c.options.Window.From.String(), "start"), cmp.Or(c.options.Window.To.String(), "end"), text(c.first), text(c.now))
	}
	if c.hole.tail != nil {
		err = fmt.Errorf("%w; %w", err, c.hole.tail)
	}
	return err
}
