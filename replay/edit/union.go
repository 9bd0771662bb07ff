package edit

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/topotape/topotape/capture"
)

// A recordUnion reads the tapes of one recording as one: by number, each record
// once. Tapes are opened when their first record is due.
type recordUnion struct {
	waiting []*mergeTape
	open    []*stream
	used    []*stream        // whose record was handed out last
	carried []capture.Record // to be handed out before that
	tape    *mergeTape       // that they are from
	next    *capture.Record  // the record behind them
	begun   bool
	known   bool   // nothing is missing that the state at reach depends on
	reach   uint64 // the number up to which nothing more can come
	at      int64  // of the last record
	end     *capture.Record
	hole    func(from, to uint64, before *mergeTape, carried bool) error
}

// read returns the next record, with the tape that it is from. The records that
// end segments are left out; the last is in u.end. The payload is valid until
// the next call. What a tape carries is returned where the records before it do
// not tell as much. hole is called before the record that stands behind one.
func (u *recordUnion) read() (*capture.Record, *mergeTape, error) {
	for {
		if len(u.carried) > 0 {
			r := &u.carried[0]
			u.carried = u.carried[1:]
			r.At = max(r.At, u.at)
			u.at = r.At
			return r, u.tape, nil
		}
		r := u.next
		u.next = nil
		if r == nil {
			if err := u.advance(); err != nil {
				return nil, nil, err
			}
			continue
		}
		if r.Kind == capture.KindEnd {
			end := *r
			end.Payload = bytes.Clone(r.Payload)
			u.end = &end
			continue
		}
		u.end, u.at = nil, r.At
		return r, u.tape, nil
	}
}

// advance finds the next record, and what is to be handed out before it.
func (u *recordUnion) advance() error {
	for _, s := range u.used {
		if err := s.advance(); err != nil {
			return fmt.Errorf("%s: %w", s.tape.input.Name, err)
		}
	}
	if len(u.used) > 0 {
		u.open = slices.DeleteFunc(u.open, func(s *stream) bool { return s.done })
		u.used = u.used[:0]
	}
	if err := u.begin(); err != nil {
		return err
	}
	if len(u.open) == 0 {
		return io.EOF
	}
	s, err := u.pick()
	if err != nil {
		return err
	}
	u.next, u.tape = &s.rec, s.tape
	return u.follow(s.rec.Seq)
}

// begin opens the tapes that are due: no other has a record before theirs.
func (u *recordUnion) begin() error {
	for len(u.waiting) > 0 {
		t := u.waiting[0]
		for _, s := range u.open {
			if s.rec.Seq < t.first {
				return nil
			}
		}
		u.waiting = u.waiting[1:]
		s, err := t.open()
		if err != nil {
			return err
		}
		if !s.done {
			u.open = append(u.open, s)
		}
	}
	return nil
}

// pick returns the stream with the next record. All that have it are used up;
// they must agree.
func (u *recordUnion) pick() (*stream, error) {
	best := u.open[0]
	for _, s := range u.open[1:] {
		if s.rec.Seq < best.rec.Seq {
			best = s
		}
	}
	seq := best.rec.Seq
	for _, s := range u.open {
		if s.rec.Seq != seq {
			continue
		}
		u.used = append(u.used, s)
		switch {
		case s == best:
		case stands(s) > stands(best):
			best = s
		case stands(s) < stands(best):
		case stands(s) == 2 && !same(&s.rec, &best.rec):
			return nil, fmt.Errorf("%s and %s are of one recording, but their records %d differ (%s at %s, %s at %s)",
				best.tape.input.Name, s.tape.input.Name, seq, best.rec.Kind, since(best.rec.At), s.rec.Kind, since(s.rec.At))
		}
	}
	return best, nil
}

// follow sees what is missing before the record of that number, which the used
// streams have, and whether one of them carries what it depends on.
func (u *recordUnion) follow(seq uint64) error {
	missing := seq > u.reach+1
	own := !u.begun // or one tape has it so
	for _, s := range u.used {
		own = own || s.before == u.reach
	}
	if missing || !u.known {
		for _, s := range u.used {
			if len(s.carried) > 0 {
				u.carried = s.carried
				break
			}
		}
		u.known = len(u.carried) > 0 || !missing && (u.known || seq == 1)
	}
	from := u.reach + 1
	u.begun = true
	if !madeEnd(u.tape.header, u.next) {
		u.reach = seq
	}
	if missing && !own {
		return u.hole(from, seq-1, u.tape, len(u.carried) > 0)
	}
	return nil
}

// stands says which of two records of one number stands: what was recorded
// before what a verb put in the place of what it lacked, and before an end. Of two
// of the last kinds any will do.
func stands(s *stream) int {
	switch {
	case s.rec.Kind == capture.KindEnd:
		return 0
	case s.tape.made(s.rec.Kind):
		return 1
	}
	return 2
}

// same compares records of one number. Every verb makes witnesses anew, and
// ends of its own.
func same(a, b *capture.Record) bool {
	if a.Kind != b.Kind || a.At != b.At || a.Source != b.Source {
		return false
	}
	return a.Kind == capture.KindWitness || a.Kind == capture.KindEnd || bytes.Equal(a.Payload, b.Payload)
}

func since(at int64) string { return "+" + time.Duration(at).String() }

func (u *recordUnion) close() {
	for _, s := range u.open {
		s.file.Close()
	}
}
