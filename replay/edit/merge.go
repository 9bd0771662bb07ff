package edit

import (
	"fmt"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter/report"
)

// Options are the options of Merge and Recover.
type Options struct {
	Tool string            // version, for the headers
	Say  func(line string) // gets a line about each loss; may be nil
}

// A Merged describes the result of Merge.
type Merged struct {
	Recordings int
	Records    uint64
	Cut        []string // tapes that were not closed
	Differ     []string // tapes with a witness that this core does not reproduce

	written checksum
}

// Check reads the new tape back.
func (m *Merged) Check(written io.Reader) error { return readBack(written, m.written) }

// Merge merges tapes of one host into one tape. Tapes of one recording are merged
// by the numbers of their records, which are kept. Different recordings are put
// onto one time line, and their records get new numbers. The inputs are read three
// times. The caller must read the new tape back with Check.
func Merge(inputs []replay.Input, out io.Writer, o Options) (*Merged, error) {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	tapes, err := scanTapes(inputs)
	if err != nil {
		return nil, err
	}
	if err := checkHost(tapes); err != nil {
		return nil, err
	}
	recordings, err := groupTapes(tapes)
	if err != nil {
		return nil, err
	}
	differ, err := verifyRecordings(recordings, o.Say)
	if err != nil {
		return nil, err
	}
	w, err := newTapeWriter(out, mergedHeader(tapes, recordings, o))
	if err != nil {
		return nil, err
	}
	if err := mergeRecordings(w, recordings, o.Say); err != nil {
		return nil, err
	}
	if err := w.tape.Close(); err != nil {
		return nil, err
	}
	m := &Merged{Recordings: len(recordings), Records: w.written.records, Differ: differ, written: w.written}
	for _, t := range tapes {
		if t.ending != tape.Closed {
			m.Cut = append(m.Cut, t.input.Name)
		}
	}
	return m, nil
}

// checkHost refuses tapes of different hosts.
func checkHost(tapes []*scannedTape) error {
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

// verifyRecordings replays each recording and compares its witnesses. It returns
// the names of the tapes of those that differ.
func verifyRecordings(list []*recording, say func(string)) (differ []string, err error) {
	for _, r := range list {
		var inputs []replay.Input
		var names []string
		for _, t := range r.tapes {
			inputs = append(inputs, t.input)
			if !slices.Contains(names, t.input.Name) {
				names = append(names, t.input.Name)
			}
		}
		s, err := replay.Run(inputs, replay.Options{Reports: replay.None, Verify: true}, func(*report.Report) error { return nil })
		if err != nil {
			return nil, err
		}
		v := s.Verification
		if v.Identical == v.Witnesses {
			continue
		}
		differ = append(differ, names...)
		say(fmt.Sprintf("the witness of tick %d (record %d) differs from the report of this version; %d of %d witnesses of this recording differ",
			v.First.Tick, v.First.Record, v.Witnesses-v.Identical, v.Witnesses))
	}
	return differ, nil
}

// mergedHeader returns the header of the new tape: the one of the recording that
// starts first, with the local networks of all tapes. The parents are in the order
// of the command line.
func mergedHeader(tapes []*scannedTape, recordings []*recording, o Options) *capture.Header {
	of := *slices.MinFunc(recordings, compareStarts).header()
	of.LocalNetworks = nil
	var parents []capture.Parent
	for _, t := range tapes {
		parents = append(parents, capture.Parent{TapeID: t.header.TapeID, SHA256: t.sum})
		of.LocalNetworks = append(of.LocalNetworks, t.header.LocalNetworks...)
	}
	slices.Sort(of.LocalNetworks)
	of.LocalNetworks = slices.Compact(of.LocalNetworks)
	h := deriveHeader(&of, o.Tool, "merge", parents)
	if len(recordings) > 1 { // its records have new numbers: it is a recording of its own
		h.Recording, h.Segment = h.TapeID, 0
	}
	return h
}
