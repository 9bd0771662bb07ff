package replay

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/topotape/topotape/capture"
)

// A recordUnion reads the tapes of one recording as one: by number, each record once.
// Tapes are opened when their first record is due.
type recordUnion struct {
	waiting []*mergeTape
	open    []*stream
	used    []*stream // whose record was handed out last
	begun   bool
	reach   uint64 // the number up to which nothing more can come
	at      int64  // of the last record
	end     *capture.Record
	hole    func(from, to uint64, before *mergeTape, carried bool) error
}

// next returns the next record, with the tape that it is from. The records that
// end segments are left out; the last is in u.end. The payload is valid until
// the next call. hole is called before the record that stands behind one.
func (u *recordUnion) next() (*capture.Record, *mergeTape, error) {
	for {
		if err := u.advance(); err != nil {
			return nil, nil, err
		}
		if err := u.begin(); err != nil {
			return nil, nil, err
		}
		if len(u.open) == 0 {
			return nil, nil, io.EOF
		}
		s, err := u.pick()
		if err != nil {
			return nil, nil, err
		}
		r := &s.rec
		if r.Seq == 0 {
			if s.before == 0 && !s.carry || s.before > 0 && u.reach > s.before {
				continue // what it carries was on the tapes before it
			}
			r.At = max(r.At, u.at)
		} else {
			s.carry = false
			u.reach = max(u.reach, r.Seq)
		}
		if r.Kind == capture.KindEnd {
			end := *r
			end.Payload = bytes.Clone(r.Payload)
			u.end = &end
			continue
		}
		u.end, u.at = nil, r.At
		return r, s.tape, nil
	}
}

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
	return nil
}

// begin opens the tapes that are due: no other has a record before theirs.
func (u *recordUnion) begin() error {
	for len(u.waiting) > 0 {
		t := u.waiting[0]
		for _, s := range u.open {
			if s.due() < t.first {
				return nil
			}
		}
		u.waiting = u.waiting[1:]
		s, err := t.open()
		if err != nil {
			return err
		}
		if s.done {
			continue
		}
		switch {
		case !u.begun:
			u.begun, s.carry = true, true
			u.reach = t.first - 1
		case t.first > u.reach+1 && !slices.ContainsFunc(u.open, func(o *stream) bool { return o.before > 0 }):
			s.carry = s.rec.Seq == 0
			if err := u.hole(u.reach+1, t.first-1, t, s.carry); err != nil {
				return err
			}
			u.reach = t.first - 1
		}
		u.open = append(u.open, s)
	}
	return nil
}

// due is the number at which the stream's next record stands; what is carried
// stands before the record that follows it.
func (s *stream) due() uint64 {
	if s.rec.Seq == 0 {
		return s.before + 1
	}
	return s.rec.Seq
}

// pick returns the stream with the next record. All that have it are used up;
// they must agree.
func (u *recordUnion) pick() (*stream, error) {
	for _, s := range u.open {
		if s.rec.Seq == 0 && s.before == 0 { // a head
			u.used = append(u.used, s)
			return s, nil
		}
	}
	best := u.open[0]
	for _, s := range u.open[1:] {
		if a, b := s.due(), best.due(); a < b || a == b && s.rec.Seq != 0 && best.rec.Seq == 0 {
			best = s
		}
	}
	if best.rec.Seq == 0 {
		u.used = append(u.used, best)
		return best, nil
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
		case !same(&s.rec, &best.rec):
			return nil, fmt.Errorf("%s and %s are of one recording, but their records %d differ (%s at %s, %s at %s)",
				best.tape.input.Name, s.tape.input.Name, seq, best.rec.Kind, since(best.rec.At), s.rec.Kind, since(s.rec.At))
		}
	}
	return best, nil
}

// stands says which of two records of one number stands: what was recorded
// before what recover put in the place of the lost, and before an end.
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
