package edit

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
)

// A recordingReader reads the tapes of one recording as one tape: by number, each
// record once. A tape is opened when its first record is the next one.
type recordingReader struct {
	unopened []*scannedTape // by their first record
	open     []*tapeReader
	used     []*tapeReader   // those with the last record of the queue
	queue    []recordingItem // to be returned next
	end      *recordingItem  // the last record, if it is an end: returned if no other follows
	at       int64           // time of the last record returned
	begun    bool
	reached  uint64 // the highest number so far, without ends that a verb added
	// complete says that the records up to reached, together with a carry, have all
	// that the state of the cores depends on. Then a carry is left out.
	complete bool
}

// A recordingItem is a record, or a range of missing records if record is nil.
type recordingItem struct {
	record  *capture.Record // its payload is valid until the next item is read
	tape    *scannedTape    // that the record is from, or the first record after the range
	missing missingRange
}

func newRecordingReader(r *recording) *recordingReader {
	u := &recordingReader{}
	for _, t := range r.tapes {
		if t.last > 0 {
			u.unopened = append(u.unopened, t)
		}
	}
	return u
}

func (u *recordingReader) close() {
	for _, s := range u.open {
		s.file.Close()
	}
}

// next returns the next item, at the end io.EOF. Of the records that end tapes, it
// returns only the one that ends the recording. It returns a carry only where the
// records before it are not complete.
func (u *recordingReader) next() (recordingItem, error) {
	for {
		for len(u.queue) > 0 {
			item := u.queue[0]
			u.queue = slices.Delete(u.queue, 0, 1)
			if u.keepEnd(&item) {
				continue
			}
			u.setTime(item.record)
			return item, nil
		}
		err := u.advance()
		if err == io.EOF && u.end != nil {
			item := *u.end
			u.end = nil
			return item, nil
		}
		if err != nil {
			return recordingItem{}, err
		}
	}
}

// keepEnd reports whether an item is an end, and keeps it until another record
// follows.
func (u *recordingReader) keepEnd(item *recordingItem) bool {
	switch {
	case item.record == nil || item.record.Seq == 0: // a carry has no number
		return false
	case item.record.Kind != capture.KindEnd:
		u.end = nil
		return false
	}
	end := *item.record
	end.Payload = bytes.Clone(end.Payload)
	u.end = &recordingItem{record: &end, tape: item.tape}
	return true
}

// setTime keeps the times of carries from going back.
func (u *recordingReader) setTime(r *capture.Record) {
	if r == nil {
		return
	}
	if r.Seq == 0 {
		r.At = max(r.At, u.at)
	}
	u.at = r.At
}

// advance fills the queue with the next record and what is returned before it.
func (u *recordingReader) advance() error {
	if err := u.advanceUsed(); err != nil {
		return err
	}
	if err := u.openDue(); err != nil {
		return err
	}
	if len(u.open) == 0 {
		return io.EOF
	}
	lowest := slices.MinFunc(u.open, func(a, b *tapeReader) int { return cmp.Compare(a.record.Seq, b.record.Seq) })
	for _, s := range u.open {
		if s.record.Seq == lowest.record.Seq {
			u.used = append(u.used, s)
		}
	}
	s, err := pick(u.used)
	if err != nil {
		return err
	}
	u.fillQueue(s)
	return nil
}

// advanceUsed goes on to the next record on the tapes whose record was returned.
func (u *recordingReader) advanceUsed() error {
	for _, s := range u.used {
		if err := s.advance(); err != nil {
			return fmt.Errorf("%s: %w", s.tape.input.Name, err)
		}
	}
	u.used = u.used[:0]
	u.open = slices.DeleteFunc(u.open, func(s *tapeReader) bool { return s.done })
	return nil
}

// openDue opens tapes until an open one has a record before all that are not open.
func (u *recordingReader) openDue() error {
	for len(u.unopened) > 0 {
		t := u.unopened[0]
		if slices.ContainsFunc(u.open, func(s *tapeReader) bool { return s.record.Seq < t.first }) {
			return nil
		}
		u.unopened = u.unopened[1:]
		s, err := openTape(t)
		if err != nil {
			return err
		}
		if !s.done {
			u.open = append(u.open, s)
		}
	}
	return nil
}

// pick returns the tape whose record is used, of those that have the number.
func pick(list []*tapeReader) (*tapeReader, error) {
	best := list[0]
	for _, s := range list[1:] {
		switch a, b := &best.record, &s.record; {
		case s.rank() > best.rank():
			best = s
		case s.rank() == rankRecorded && best.rank() == rankRecorded && !sameRecord(a, b):
			return nil, fmt.Errorf("%s and %s are of one recording, but their records %d differ (%s at %s, %s at %s)",
				best.tape.input.Name, s.tape.input.Name, a.Seq, a.Kind, sinceStart(a.At), b.Kind, sinceStart(b.At))
		}
	}
	return best, nil
}

// fillQueue queues the current record of s. Before it go the range of records that
// are missing there and a carry, if the records before are not complete.
func (u *recordingReader) fillQueue(s *tapeReader) {
	seq := s.record.Seq
	missing := missingRange{from: u.reached + 1, to: seq - 1}
	skips := seq > u.reached+1
	// Numbers may be missing on a tape by right. If one of the tapes has both records
	// next to each other, nothing is missing between them.
	consecutive := !u.begun || slices.ContainsFunc(u.used, func(s *tapeReader) bool { return s.previous == u.reached })
	var carry []capture.Record
	if skips || !u.complete {
		if at := slices.IndexFunc(u.used, func(s *tapeReader) bool { return len(s.carry) > 0 }); at >= 0 {
			carry = u.used[at].carry
		}
		missing.carried = len(carry) > 0
		u.complete = missing.carried || !skips && (u.complete || seq == 1)
	}
	u.queue = u.queue[:0]
	if skips && !consecutive {
		u.queue = append(u.queue, recordingItem{tape: s.tape, missing: missing})
	}
	for i := range carry {
		u.queue = append(u.queue, recordingItem{record: &carry[i], tape: s.tape})
	}
	u.queue = append(u.queue, recordingItem{record: &s.record, tape: s.tape})
	u.begun = true
	if !isAddedEnd(s.tape.header, &s.record) {
		u.reached = seq
	}
}
