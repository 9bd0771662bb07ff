package edit

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/reporter/report"
)

// MergeOptions are the options of Merge.
type MergeOptions struct {
	Tool string            // version, for the header
	Args []string          // of the command line, for the header
	Say  func(line string) // gets a line about what the tapes lack together; may be nil
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
func (m *Merged) Check(written io.Reader) error { return readBack(written, []checksum{m.written}) }

// Merge merges tapes of one host into one tape. Tapes of one recording are merged
// by the numbers of their records, which are kept. Different recordings are put
// onto one time line, and their records get new numbers. The inputs are read three
// times. The caller must read the new tape back with Check.
func Merge(inputs []replay.Input, out io.Writer, o MergeOptions) (*Merged, error) {
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
	if len(recordings) == 1 {
		err = mergeRecording(&mergeWriter{writer: w}, recordings[0], o.Say)
	} else {
		err = mergeTimeLine(&mergeWriter{writer: w}, recordings, o.Say)
	}
	if err != nil {
		return nil, err
	}
	if err := w.tape.Close(); err != nil {
		return nil, err
	}
	return &Merged{Recordings: len(recordings), Records: w.written.records,
		Cut: notClosed(tapes), Differ: differ, written: w.written}, nil
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

func notClosed(tapes []*scannedTape) (names []string) {
	for _, t := range tapes {
		if t.ending != tape.Closed {
			names = append(names, t.input.Name)
		}
	}
	return names
}

// verifyRecordings replays each recording and compares its witnesses. It returns
// the names of the tapes of those that differ.
func verifyRecordings(list []*recording, say func(string)) (differ []string, err error) {
	for _, r := range list {
		s, err := replay.Run(r.inputs(), replay.Options{Reports: replay.None, Verify: true}, func(*report.Report) error { return nil })
		if err != nil {
			return nil, err
		}
		v := s.Verification
		if v.Identical == v.Witnesses {
			continue
		}
		differ = append(differ, r.names()...)
		say(fmt.Sprintf("the witness of tick %d (record %d) differs from the report of this version; %d of %d witnesses of this recording differ",
			v.First.Tick, v.First.Record, v.Witnesses-v.Identical, v.Witnesses))
	}
	return differ, nil
}

// mergedHeader returns the header of the new tape: that of the recording that
// starts first, with the local networks of all tapes. The parents are in the order
// of the command line.
func mergedHeader(tapes []*scannedTape, recordings []*recording, o MergeOptions) *capture.Header {
	d := capture.Derived{Verb: "merge", Parent: tapes[0].header.TapeID, SHA256: tapes[0].sum, Args: o.Args}
	for _, t := range tapes[1:] {
		d.Others = append(d.Others, capture.Parent{TapeID: t.header.TapeID, SHA256: t.sum})
	}
	of := *slices.MinFunc(recordings, compareStarts).header()
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
	if len(recordings) > 1 { // its records have new numbers: it is a recording of its own
		h.Recording, h.Segment = h.TapeID, 0
	}
	return h
}

func compareStarts(a, b *recording) int {
	return cmp.Or(cmp.Compare(a.header().Start, b.header().Start), cmp.Compare(a.order, b.order))
}

// A mergeWriter writes the merged tape. It knows the last number and time on it.
type mergeWriter struct {
	writer *tapeWriter
	seq    uint64
	at     int64
}

// write writes a record of one of the tapes.
func (w *mergeWriter) write(r *capture.Record) error {
	w.seq, w.at = max(w.seq, r.Seq), r.At
	w.writer.witnesses.stepReporting(r)
	return w.writer.write(r)
}

// add writes a record that Merge adds, at the time of the last record.
func (w *mergeWriter) add(seq uint64, a *addition) error {
	w.seq = seq
	return w.writer.add(seq, w.at, a)
}

// mergeRecording writes the records of one recording.
func mergeRecording(w *mergeWriter, r *recording, say func(string)) error {
	in := newRecordingReader(r)
	defer in.close()
	var open openSources
	incomplete, ended := false, false
	for {
		next, err := in.next()
		switch {
		case err == io.EOF && !ended:
			end := newEnd(capture.End{Why: endOfMerge + "the last tape was not closed"})
			return w.add(w.seq+1, &end)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if next.record == nil {
			incomplete = incomplete || !next.missing.carried
			err = addMissing(w, &next, open, say)
		} else {
			open.update(next.record)
			ended = next.record.Kind == capture.KindEnd
			w.writer.witnesses.incomplete = incomplete || next.tape.recovered()
			err = w.write(next.record)
		}
		if err != nil {
			return err
		}
	}
}

// addMissing reports records that are on none of the tapes. If a carry with the
// state of the cores follows, the reports are right all the same; otherwise every
// source gets a gap, as far as there are free numbers.
func addMissing(w *mergeWriter, at *recordingItem, open openSources, say func(string)) error {
	m := at.missing
	line := fmt.Sprintf("%s on none of the tapes, before those of %s", numbersText(m.from, m.to), at.tape.input.Name)
	if m.carried {
		say(line + "; a carry of the state follows")
		return nil
	}
	say(line)
	gaps := open.gaps(m.why())
	for i := range gaps[:min(uint64(len(gaps)), m.count())] {
		if err := w.add(m.from+uint64(i), &gaps[i]); err != nil {
			return err
		}
	}
	return nil
}

// A missingRange is a range of record numbers that are on none of the tapes.
type missingRange struct {
	from, to uint64
	carried  bool // a carry of the state at its end follows
}

func (m *missingRange) count() uint64 { return m.to - m.from + 1 }

// why is the text of the gaps.
func (m *missingRange) why() string {
	return render.Count(m.count(), "record") + " on none of the merged tapes"
}
