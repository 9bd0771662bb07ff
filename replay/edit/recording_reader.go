package edit

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/packed"
)

// A recordingReader reads the tapes of one recording as one tape: by number, each
// record once. A tape is opened when its first record is the next one.
type recordingReader struct {
	unopened []*scannedTape // by their first record
	open     []*tapeReader
	used     []*tapeReader   // those with the record that was read last
	queue    []recordingItem // to be returned next
	end      *recordingItem  // the last record, if it is an end: returned if no other follows
	at       int64           // time of the last record queued
	carryAt  int64           // time of the last part of a carry that was returned
	begun    bool
	reached  uint64 // the highest number so far, without ends that a verb added
	// complete says that the records up to reached, together with a carry, have all
	// that the state of the cores depends on. Then a carry is left out.
	complete bool
}

// A recordingItem is a record, or a range of numbers that are on none of the tapes.
type recordingItem struct {
	record   *capture.Record // its payload is valid until the next item is read; nil for a range
	tape     *scannedTape    // that the record is from, or the first record after the range
	from, to uint64          // of a range
	carried  bool            // of a range: a carry of the state at its end follows
	carry    *packed.Records // in the queue only, in place of a record: those from next on are to be returned
	next     int
}

func newRecordingReader(r *recording) *recordingReader {
	rr := &recordingReader{}
	for _, t := range r.tapes {
		if t.last > 0 {
			rr.unopened = append(rr.unopened, t)
		}
	}
	return rr
}

func (rr *recordingReader) close() {
	for _, tr := range rr.open {
		tr.tapes.Close()
	}
}

// next returns the next item, at the end io.EOF. Of the records that end tapes, it
// returns only the one that ends the recording. It returns a carry only where the
// records before it are not complete.
func (rr *recordingReader) next() (recordingItem, error) {
	for len(rr.queue) == 0 {
		err := rr.advance()
		if err == io.EOF && rr.end != nil {
			rr.queue, rr.end = []recordingItem{*rr.end}, nil
		} else if err != nil {
			return recordingItem{}, err
		}
	}
	item := rr.queue[0]
	if item.carry != nil {
		part := item.carry.At(item.next)
		rr.carryAt = max(rr.carryAt, part.At) // time does not go back
		part.At = rr.carryAt
		if rr.queue[0].next++; rr.queue[0].next < item.carry.Len() {
			return recordingItem{record: &part, tape: item.tape}, nil
		}
		item = recordingItem{record: &part, tape: item.tape}
	}
	rr.queue = slices.Delete(rr.queue, 0, 1)
	return item, nil
}

// advance fills the queue with the next record and the items to be returned before it.
func (rr *recordingReader) advance() error {
	if err := rr.advanceUsed(); err != nil {
		return err
	}
	if err := rr.openDue(); err != nil {
		return err
	}
	if len(rr.open) == 0 {
		return io.EOF
	}
	lowest := slices.MinFunc(rr.open, func(a, b *tapeReader) int { return cmp.Compare(a.item.Seq, b.item.Seq) })
	for _, tr := range rr.open {
		if tr.item.Seq == lowest.item.Seq {
			rr.used = append(rr.used, tr)
		}
	}
	tr, err := pick(rr.used)
	if err != nil {
		return err
	}
	rr.fillQueue(tr)
	return nil
}

// advanceUsed goes on to the next record on the tapes whose record was returned.
func (rr *recordingReader) advanceUsed() error {
	for _, tr := range rr.used {
		if err := tr.advance(); err != nil {
			return err
		}
	}
	rr.used = rr.used[:0]
	rr.open = slices.DeleteFunc(rr.open, func(tr *tapeReader) bool { return tr.done })
	return nil
}

// openDue opens tapes until an open one has a record before all that are not open.
func (rr *recordingReader) openDue() error {
	for len(rr.unopened) > 0 {
		t := rr.unopened[0]
		if slices.ContainsFunc(rr.open, func(tr *tapeReader) bool { return tr.item.Seq < t.first }) {
			return nil
		}
		rr.unopened = rr.unopened[1:]
		tr, err := openTape(t)
		if err != nil {
			return err
		}
		if !tr.done {
			rr.open = append(rr.open, tr)
		}
	}
	return nil
}

// pick returns the tape whose record is used, of those that have the number.
func pick(list []*tapeReader) (*tapeReader, error) {
	best := list[0]
	for _, tr := range list[1:] {
		switch a, b := &best.item.Record, &tr.item.Record; {
		case tr.preference() > best.preference():
			best = tr
		case tr.preference() == preferFirst && best.preference() == preferFirst && !sameRecord(a, b):
			return nil, fmt.Errorf("%s and %s are of one recording, but their records %d differ (%s at %s, %s at %s)",
				best.tape.input.Name, tr.tape.input.Name, a.Seq, a.Kind, sinceStart(a.At), b.Kind, sinceStart(b.At))
		}
	}
	return best, nil
}

// fillQueue queues the current record of tr. Before it go the range of records that
// are missing there and a carry, if the records before are not complete.
func (rr *recordingReader) fillQueue(tr *tapeReader) {
	seq := tr.item.Seq
	skips := seq > rr.reached+1
	// Numbers may be missing on a derived tape without a loss. If one of the tapes has both records
	// next to each other, nothing is missing between them.
	consecutive := !rr.begun || slices.ContainsFunc(rr.used, func(tr *tapeReader) bool { return tr.previous == rr.reached })
	carry := -1 // index in used
	if skips || !rr.complete {
		carry = slices.IndexFunc(rr.used, func(tr *tapeReader) bool { return tr.carry.Len() > 0 })
		rr.complete = carry >= 0 || !skips && (rr.complete || seq == 1)
	}
	if skips && !consecutive {
		rr.queue = append(rr.queue, recordingItem{tape: tr.tape, from: rr.reached + 1, to: seq - 1, carried: carry >= 0})
	}
	if carry >= 0 {
		rr.carryAt = rr.at
		rr.queue = append(rr.queue, recordingItem{carry: &rr.used[carry].carry, tape: tr.tape})
	}
	rr.queueRecord(recordingItem{record: &tr.item.Record, tape: tr.tape})
	rr.begun = true
	if !isAddedEnd(tr.tape.header, &tr.item.Record) {
		rr.reached = seq
	}
}

// queueRecord queues a record. An end is kept until it is known whether other records
// follow.
func (rr *recordingReader) queueRecord(item recordingItem) {
	if item.record.Kind == capture.KindEnd {
		end := cloned(item.record)
		rr.end = &recordingItem{record: &end, tape: item.tape}
		return
	}
	rr.end, rr.at = nil, item.record.At
	rr.queue = append(rr.queue, item)
}
