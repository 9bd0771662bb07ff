package edit

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter"
)

// MergeOptions of Merge.
type MergeOptions struct {
	Tool string            // version, for the header
	Args []string          // of the command line, for the header
	Say  func(line string) // told what is missing between the tapes; nil for nobody
}

// A Merged says what Merge has done.
type Merged struct {
	Tapes      int
	Recordings int
	Records    uint64
	Cut        []string // tapes that were not closed
	Differ     []string // tapes whose witnesses this core does not agree with

	written []content
}

// Check reads back what was written.
func (m *Merged) Check(written io.Reader) error {
	if err := readBack(written, m.written); err != nil {
		return fmt.Errorf("what was written does not read back: %w", err)
	}
	return nil
}

// Merge puts tapes of one host onto one. Those of one recording become one by
// the numbers of their records, which are kept. Different recordings are put
// onto one line by their times, and their records are numbered anew. The inputs
// are read three times. What was written must be read back with Check.
func Merge(inputs []replay.Input, out io.Writer, o MergeOptions) (*Merged, error) {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	tapes, err := scanTapes(inputs)
	if err != nil {
		return nil, err
	}
	if err := oneHost(tapes); err != nil {
		return nil, err
	}
	list, err := recordings(tapes)
	if err != nil {
		return nil, err
	}
	m := &merger{options: o, result: Merged{Tapes: len(tapes), Recordings: len(list)}}
	for _, t := range tapes {
		if t.ending != capture.Closed {
			m.result.Cut = append(m.result.Cut, t.input.Name)
		}
	}
	if err := m.verify(list); err != nil {
		return nil, err
	}
	h := mergedHeader(tapes, list, o)
	if m.d, err = newDeriver(out, h); err != nil {
		return nil, err
	}
	if len(list) == 1 {
		err = m.union(list[0])
	} else {
		err = m.line(list)
	}
	if err != nil {
		return nil, err
	}
	if err := m.d.out.Close(); err != nil {
		return nil, err
	}
	m.result.Records = m.d.content.records
	m.result.written = []content{*m.d.content}
	return &m.result, nil
}

// oneHost refuses tapes of different hosts.
func oneHost(tapes []*mergeTape) error {
	a := tapes[0]
	for _, b := range tapes[1:] {
		switch {
		case a.header.HostID != b.header.HostID:
			return fmt.Errorf("%s is of host %q, %s of host %q: only tapes of one host make one time line", a.input.Name, a.header.HostID, b.input.Name, b.header.HostID)
		case a.header.BigEndian != b.header.BigEndian:
			return fmt.Errorf("%s and %s are of hosts with different byte orders", a.input.Name, b.input.Name)
		}
	}
	return nil
}

// mergedHeader is that of the tape that stands first on the line. Its parents
// are in the order in which they were named.
func mergedHeader(tapes []*mergeTape, list []*recording, o MergeOptions) *capture.Header {
	d := capture.Derived{Verb: "merge", Parent: tapes[0].header.TapeID, SHA256: *tapes[0].sum, Args: o.Args}
	for _, t := range tapes[1:] {
		d.Others = append(d.Others, capture.Parent{TapeID: t.header.TapeID, SHA256: *t.sum})
	}
	first := slices.MinFunc(list, func(a, b *recording) int {
		return cmp.Or(cmp.Compare(a.header().Start, b.header().Start), cmp.Compare(a.order, b.order))
	})
	of := *first.header()
	of.LocalNetworks = nil
	for _, t := range tapes {
		for _, n := range t.header.LocalNetworks {
			if !slices.Contains(of.LocalNetworks, n) {
				of.LocalNetworks = append(of.LocalNetworks, n)
			}
		}
	}
	slices.Sort(of.LocalNetworks)
	h := deriveHeader(&of, d, o.Tool)
	if len(list) > 1 { // numbers of its own
		h.Recording, h.Segment = h.TapeID, 0
	}
	return h
}

// A merger writes the merged tape.
type merger struct {
	options MergeOptions
	result  Merged
	d       *deriver
	open    openSources
	holed   bool // records are missing
	seq     uint64
	at      int64
}

// A tapePlace is where a tape stands.
type tapePlace struct {
	name string
	base int64
}

// verify replays every recording and compares its witnesses.
func (m *merger) verify(list []*recording) error {
	for _, r := range list {
		var inputs []replay.Input
		var names []string
		seen := map[tapePlace]bool{}
		for _, t := range r.tapes {
			if at := (tapePlace{t.input.Name, t.base}); !seen[at] {
				seen[at], inputs = true, append(inputs, t.input)
			}
			if !slices.Contains(names, t.input.Name) {
				names = append(names, t.input.Name)
			}
		}
		s, err := replay.Run(inputs, replay.Options{Reports: replay.None, Verify: true}, func(*reporter.Report) error { return nil })
		if err != nil {
			return err
		}
		if v := s.Verification; v.Identical < v.Witnesses {
			m.result.Differ = append(m.result.Differ, names...)
			m.options.Say(fmt.Sprintf("the witness of tick %d (record %d) is not what this version makes; so are %d of %d on the tapes of this recording",
				v.First.Tick, v.First.Record, v.Witnesses-v.Identical, v.Witnesses))
		}
	}
	return nil
}

// union writes the tapes of one recording.
func (m *merger) union(r *recording) error {
	u := recordUnion{waiting: r.waiting(), hole: m.hole}
	defer u.close()
	for {
		rec, t, err := u.read()
		if err == io.EOF {
			return m.finish(u.end)
		}
		if err != nil {
			return err
		}
		// Witnesses that recover made are of reports with gaps.
		m.d.lossy = m.holed || t.header.Derived.Verb == "recover"
		if err := m.write(rec); err != nil {
			return err
		}
	}
}

// waiting is the tapes that have a record.
func (r *recording) waiting() (list []*mergeTape) {
	for _, t := range r.tapes {
		if t.last > 0 {
			list = append(list, t)
		}
	}
	return list
}

func (m *merger) write(r *capture.Record) error {
	m.open.record(r)
	m.seq, m.at = max(m.seq, r.Seq), r.At
	m.d.step(r)
	return m.d.write(r)
}

// hole tells of records of a recording that are on none of its tapes. Where the
// tape behind it brings the state that production had, nothing is wrong in what
// follows; else every source has a gap.
func (m *merger) hole(from, to uint64, before *mergeTape, carried bool) error {
	line := fmt.Sprintf("%s on none of the tapes, before those of %s", numbersText(from, to), before.input.Name)
	if carried {
		m.options.Say(line + "; what follows begins with the state that it carries")
		return nil
	}
	m.options.Say(line)
	m.holed = true
	gaps := m.open.gaps(render.Count(to-from+1, "record") + " on none of the merged tapes")
	for i := range gaps[:min(uint64(len(gaps)), to-from+1)] {
		if err := m.make(from+uint64(i), &gaps[i]); err != nil {
			return err
		}
	}
	return nil
}

// make writes a record of the merger's own, at the time of the last one.
func (m *merger) make(seq uint64, r *made) error {
	m.seq = seq
	m.open.change(r.source, r.payload)
	return m.d.add(capture.Record{Seq: seq, At: m.at, Kind: r.kind, Source: r.source}, r.payload)
}

// finish closes the tape with the end of the last one, if that has one.
func (m *merger) finish(end *capture.Record) error {
	if end != nil {
		return m.write(end)
	}
	return m.make(m.seq+1, &made{capture.KindEnd, 0, &capture.End{Why: endOfMerge + "the last tape was not closed"}})
}
