package edit

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
)

// A cutter reads tapes up to the end of a window. It steps the cores through all
// records, collects evidence from those before the window and writes those of the
// window.
type cutter struct {
	tapes       *replay.Tapes
	first, last int64 // Unix ns of the first and the last record that was read
	cores       cutCores
	evidence    *reporter.Evidence // from before the window; nil after it began
	damage      damageLog
	cut         cutTape
	// previous has the number and the time of the last record that the cores saw in
	// order: before the window, or on the new tape.
	previous capture.Record
}

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
			c.damage.add(err)
			c.cores.current.incomplete = true
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

// enterTape is called before each record. Where a tape begins that does not
// continue the previous one, it begins with new cores.
func (c *cutter) enterTape(it *replay.Item) error {
	if c.cores.tape == it.Tape() {
		return nil
	}
	first, segment, h := c.cores.tape < 0, c.cores.segment, it.Header
	c.cores.tape, c.cores.segment = it.Tape(), h.Segment
	if !first && it.Follows {
		return nil
	}
	if cut := c.cut.summary.Header; cut != nil {
		if h.Origin() != cut.Recording || h.Start != cut.Start {
			return errors.New("the window spans tapes of different recordings: cut each recording on its own")
		}
		if h.Segment != segment {
			c.cut.missing(fmt.Sprintf("segment %d of the recording follows segment %d: the core starts again there", h.Segment, segment))
		}
	}
	c.damage.settle()
	if err := c.cores.renew(h); err != nil {
		return err
	}
	if c.cut.begun() {
		c.cores.unwritten = true
	} else {
		c.evidence, c.previous = reporter.NewEvidence(h), capture.Record{}
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
	for i := range it.Carry {
		c.readCarry(&it.Carry[i], within)
	}
	if err := c.fillGap(r, within); err != nil {
		return err
	}
	return c.add(r, within)
}

func (c *cutter) readCarry(part *capture.Record, within bool) {
	c.step(part)
	if within {
		c.cores.unwritten = true
	} else {
		c.cores.stepped = true
	}
}

// fillGap adds gap records before r if damage precedes it.
func (c *cutter) fillGap(r *capture.Record, within bool) error {
	for _, gap := range c.damage.gaps(&c.previous, r) {
		if err := c.add(&gap, within && c.cut.begun()); err != nil {
			return err
		}
	}
	return nil
}

func (c *cutter) add(r *capture.Record, within bool) error {
	c.damage.noteSource(r)
	if !within {
		c.step(r)
		c.evidence.Add(r)
		c.cores.stepped = true
		c.previous = capture.Record{Seq: r.Seq, At: r.At}
		return nil
	}
	if !c.cut.begun() {
		if err := c.begin(r); err != nil {
			return err
		}
	}
	if r.Seq <= c.previous.Seq { // a tape that overlaps the previous one has it again
		c.step(r)
		c.cores.unwritten = true
		return nil
	}
	return c.copy(r)
}

// step steps the cores through a record that is not written.
func (c *cutter) step(r *capture.Record) {
	if !c.cores.current.step(r) {
		c.notePanic(r, reporter.RulesCurrent)
	}
	if !c.cores.stepScope2016(r) && !c.cut.begun() {
		c.notePanic(r, reporter.RulesScope2016)
	}
}

func (c *cutter) notePanic(r *capture.Record, rules string) {
	c.cut.missing(fmt.Sprintf("the core panics on record %d under the rules %s: its state is not on the new tape", r.Seq, rules))
}

// begin begins the new tape, before the window's first record.
func (c *cutter) begin(first *capture.Record) error {
	if err := c.cut.begin(c.tapes.Header(), c.last); err != nil {
		return err
	}
	if c.cores.stepped {
		for _, e := range c.evidence.Records(first.At) {
			if err := c.cut.tape.Write(&e); err != nil {
				return err
			}
			c.cut.summary.Evidence++
		}
		if err := c.writeCarries(c.previous.At); err != nil {
			return err
		}
	}
	c.evidence = nil
	return nil
}

// copy writes a record of the window.
func (c *cutter) copy(r *capture.Record) error {
	if c.cores.unwritten {
		if err := c.writeCarries(r.At); err != nil {
			return err
		}
	}
	c.cores.stepScope2016(r)
	c.cores.current.stepReporting(r)
	c.previous = capture.Record{Seq: r.Seq, At: r.At}
	c.cut.count(r, c.last)
	rewritten, keep := c.cores.current.rewrite(r)
	if !keep {
		return nil
	}
	return c.cut.tape.Write(&rewritten)
}

// writeCarries writes the state of the cores.
func (c *cutter) writeCarries(at int64) error {
	c.cores.unwritten = false
	for _, core := range [...]*replay.Core{c.cores.current.core, c.cores.scope2016} {
		if core == nil { // it panicked
			continue
		}
		parts := core.Carry()
		if parts == nil {
			c.cut.missing("the state of the core is too large for a tape: reports of the new tape may lack connections")
		}
		for i := range parts {
			r := capture.Record{At: at, Kind: capture.KindCarry, Payload: capture.AppendPayload(nil, &parts[i])}
			if err := c.cut.tape.Write(&r); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish closes the new tape.
func (c *cutter) finish(growing func(name string) bool) error {
	for _, e := range c.tapes.Ends() {
		switch {
		case growing != nil && growing(e.Name):
			c.damage.last = nil
		case e.Ending == tape.Cut:
			c.cut.missing(e.Name + " is cut: it was not closed, its last records may be missing")
		}
	}
	c.damage.settle()
	s := &c.cut.summary
	s.Missing = append(c.damage.texts, s.Missing...)
	s.Witnesses, s.Differ = c.cores.current.compared, c.cores.current.differ
	return c.cut.close(&c.previous)
}

// emptyWindow returns the error for a window without records. It includes damage,
// since records of the window may be lost with it.
func (c *cutter) emptyWindow(w replay.Window) error {
	text := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
	err := fmt.Errorf("%w: the tapes have no records", errEmptyWindow)
	if c.cores.tape >= 0 {
		err = fmt.Errorf("%w from %s to %s: the records up to there are from %s to %s", errEmptyWindow,
			cmp.Or(w.From.String(), "start"), cmp.Or(w.To.String(), "end"), text(c.first), text(c.last))
	}
	if c.damage.last != nil {
		err = fmt.Errorf("%w; %w", err, c.damage.last)
	}
	return err
}
