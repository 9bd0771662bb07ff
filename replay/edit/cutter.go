package edit

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter"
)

// A cutter reads tapes up to the end of a window. It steps the cores of both rule sets
// through all records, collects evidence from those before the window and writes those
// of the window.
type cutter struct {
	options CutOptions
	parents []capture.Parent
	tapes   *replay.Tapes
	header  *capture.Header // of the tape that was reached; nil before the first
	to      io.Writer
	// out has the core of the current rules. It has the number and the time of the last
	// record that the cores saw in order: before the window, or on the new tape.
	out       tapeWriter
	scope2016 *replay.Core
	stepped   bool // the cores have seen records before the window
	unwritten bool // they have seen records that the new tape lacks since its last carry

	evidence *reporter.Evidence // from before the window; nil after it began
	open     openSources
	damage   error       // that no record has followed yet; nil if there is none
	damages  render.List // those before it
	missing  render.List // what the new tape lacks besides
	first    int64       // Unix ns of the first record that was read
	last     int64       // Unix ns of the last one
	ended    bool        // the last record of the window is an end
	summary  CutSummary
}

// begun reports whether the window has a record.
func (c *cutter) begun() bool { return c.summary.Header != nil }

// readWindow reads the tapes from their start to the end of the window.
func (c *cutter) readWindow() error {
	it := new(replay.Item)
	for {
		err := c.tapes.Next(it)
		var damage *tape.DamageError
		switch {
		case err == io.EOF:
			return nil
		case errors.As(err, &damage):
			c.settleDamage()
			c.damage = err
			c.out.incomplete = true
			continue
		case err != nil:
			return err
		}
		if err := c.enterTape(it); err != nil {
			return err
		}
		c.last = it.Wall()
		if c.first == 0 {
			c.first = c.last
		}
		if it.Place == replay.After {
			return c.fillGap(&it.Record, true)
		}
		if err := c.read(it); err != nil {
			return err
		}
	}
}

// settleDamage is called when the last damage is known to matter for the cut.
func (c *cutter) settleDamage() {
	if c.damage != nil {
		c.damages.Add(c.damage.Error())
	}
	c.damage = nil
}

// enterTape is called before each record. Where a tape begins that does not
// continue the previous one, it begins with new cores.
func (c *cutter) enterTape(it *replay.Item) error {
	h, before := it.Header, c.header
	c.header = h
	if h == before || before != nil && it.Follows {
		return nil
	}
	if cut := c.summary.Header; cut != nil {
		if h.Origin() != cut.Recording || h.Start != cut.Start {
			return errors.New("the window spans tapes of different recordings: cut each recording on its own")
		}
		if h.Segment != before.Segment {
			c.missing.Add(fmt.Sprintf("segment %d of the recording follows segment %d: the core starts again there", h.Segment, before.Segment))
		}
	}
	c.settleDamage()
	return c.renewCores(h)
}

func (c *cutter) renewCores(h *capture.Header) (err error) {
	if c.out.core, err = replay.NewCore(h, reporter.RulesCurrent); err != nil {
		return err
	}
	if c.scope2016, err = replay.NewCore(h, reporter.RulesScope2016); err != nil {
		return err
	}
	c.out.incomplete = false
	c.stepped, c.unwritten = false, c.begun()
	if !c.begun() {
		c.evidence, c.out.seq, c.out.at = reporter.NewEvidence(h), 0, 0
	}
	return nil
}

// read handles a record before the window or within it. A carry is not copied:
// the cores read it, and their own carry is written before the next record.
func (c *cutter) read(it *replay.Item) error {
	r, within := &it.Record, it.Place == replay.Within
	if r.Kind == capture.KindCarry {
		if !it.Follows {
			c.readCarry(r, within)
		}
		return nil
	}
	if it.Carry != nil {
		for part := range it.Carry {
			c.readCarry(&part, within)
		}
	}
	if err := c.fillGap(r, within); err != nil {
		return err
	}
	return c.add(r, within)
}

func (c *cutter) readCarry(part *capture.Record, within bool) {
	c.step(part)
	c.stepped, c.unwritten = c.stepped || !within, c.unwritten || within
}

// fillGap adds a gap record of every source before r if damage precedes it and numbers
// are missing. The gaps have the first of these numbers; if there are fewer numbers
// than sources, the last sources get no gap.
func (c *cutter) fillGap(r *capture.Record, within bool) error {
	if c.damage == nil {
		return nil
	}
	c.settleDamage()
	first := c.out.seq + 1
	if r.Seq <= first {
		return nil
	}
	gaps := c.open.gaps(fmt.Sprintf("%d records of all sources are missing: the tape was damaged", r.Seq-first))
	slices.SortFunc(gaps, func(a, b capture.Record) int { return cmp.Compare(a.Source, b.Source) })
	for i, gap := range gaps[:min(uint64(len(gaps)), r.Seq-first)] {
		gap.Seq, gap.At = first+uint64(i), c.out.at
		if err := c.add(&gap, within && c.begun()); err != nil {
			return err
		}
	}
	return nil
}

func (c *cutter) add(r *capture.Record, within bool) error {
	c.open.update(r)
	if !within {
		c.step(r)
		c.evidence.Add(r)
		c.stepped = true
		c.out.seq, c.out.at = r.Seq, r.At
		return nil
	}
	if !c.begun() {
		if err := c.begin(r); err != nil {
			return err
		}
	}
	if r.Seq <= c.out.seq { // a tape that overlaps the previous one has it again
		c.step(r)
		c.unwritten = true
		return nil
	}
	return c.copy(r)
}

// step steps the cores through a record that is not written.
func (c *cutter) step(r *capture.Record) {
	if _, panicked := c.out.core.Step(r); panicked != nil {
		c.notePanic(r, reporter.RulesCurrent)
	}
	if _, panicked := c.scope2016.Step(r); panicked != nil && !c.begun() {
		c.notePanic(r, reporter.RulesScope2016)
	}
}

func (c *cutter) notePanic(r *capture.Record, rules string) {
	c.missing.Add(fmt.Sprintf("the core panics on record %d under the rules %s: its state is not on the new tape", r.Seq, rules))
}

// begin begins the new tape, before the window's first record.
func (c *cutter) begin(first *capture.Record) error {
	s := &c.summary
	s.Header, s.From = deriveHeader(c.tapes.Header(), c.options.Tool, "cut", c.parents, c.options.Args...), c.last
	if err := c.out.begin(c.to, s.Header); err != nil {
		return err
	}
	if c.stepped {
		for e := range c.evidence.Records(first.At) {
			if err := c.out.put(&e); err != nil {
				return err
			}
			s.Evidence++
		}
		if err := c.writeCarries(c.out.at); err != nil {
			return err
		}
	}
	c.evidence = nil
	return nil
}

// copy writes a record of the window.
func (c *cutter) copy(r *capture.Record) error {
	if c.unwritten {
		if err := c.writeCarries(r.At); err != nil {
			return err
		}
	}
	c.scope2016.Step(r)
	c.summary.Records++
	if r.Kind == capture.KindTick {
		c.summary.Ticks++
	}
	c.summary.To = c.last
	c.ended = r.Kind == capture.KindEnd
	return c.out.write(r)
}

// writeCarries writes the state of the cores.
func (c *cutter) writeCarries(at int64) error {
	c.unwritten = false
	for _, core := range [...]*replay.Core{c.out.core, c.scope2016} {
		if core.Ended() {
			continue
		}
		parts := core.Carry()
		if parts == nil {
			c.missing.Add("the state of the core is too large for a tape: reports of the new tape may lack connections")
			continue
		}
		for part := range parts {
			r := newRecord(capture.KindCarry, 0, &part)
			r.At = at
			if err := c.out.put(&r); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish closes the new tape.
func (c *cutter) finish() error {
	growing := c.options.Growing
	for _, e := range c.tapes.Ends() {
		switch {
		case growing != nil && growing(e.Name):
			c.damage = nil
		case e.Ending == tape.Cut:
			c.missing.Add(e.Name + " is cut: it was not closed, its last records may be missing")
		}
	}
	c.settleDamage()
	s := &c.summary
	s.Missing = slices.Concat(c.damages.Texts(), c.missing.Texts())
	s.Witnesses, s.Differ = c.out.compared, c.out.differ
	if !c.ended && c.out.seq < math.MaxUint64 { // else there is no free number
		why := strings.Join(append([]string{endOfCut}, s.Missing...), "; ")
		end := &capture.End{Why: why[:min(len(why), maxWhy)]}
		if err := c.out.add(c.out.seq+1, newRecord(capture.KindEnd, 0, end)); err != nil {
			return err
		}
	}
	err := c.out.tape.Close()
	s.Size = c.out.tape.Size()
	return err
}

// maxWhy bounds the text of an end record, in bytes. A reader takes longer ones than this.
const maxWhy = 32 << 10

// emptyWindow returns the error for a window without records. It includes damage,
// since records of the window may be lost with it.
func (c *cutter) emptyWindow() error {
	w := c.options.Window
	err := fmt.Errorf("%w: the tapes have no records", errEmptyWindow)
	if c.header != nil {
		err = fmt.Errorf("%w from %s to %s: the records up to there are from %s to %s", errEmptyWindow,
			cmp.Or(w.From.String(), "start"), cmp.Or(w.To.String(), "end"), wallText(c.first), wallText(c.last))
	}
	if c.damage != nil {
		err = fmt.Errorf("%w; %w", err, c.damage)
	}
	return err
}
