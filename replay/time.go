package replay

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Time is a place on tapes, as a user writes it. The zero Time is none.
type Time struct {
	text string
	kind timeKind
	ns   int64  // a duration, or Unix ns
	seq  uint64 // number of a record
	mark string // its text
	tape int    // number of a tape
}

type timeKind uint8

const (
	timeNone      timeKind = iota
	timeWall               // ns, as reports give it
	timeFromStart          // ns after the recording's start, until settle is called
	timeFromEnd            // ns, negative, until resolve is called
	timeRecord             // seq
	timeMark               // mark, until resolve is called

	// These are not written by users.
	timeSteady // ns, without the steps of the wall clock
	timePlace  // tape and seq
	timeCount  // seq is how many records were read, including the one there
)

// ParseTime reads a time: RFC 3339, +1m30s after the recording's start, -5m before
// the last record, #812 for a record, mark:TEXT for a mark, start and end (before
// the first and after the last record). Empty text is the zero Time.
func ParseTime(s string) (Time, error) {
	t := Time{text: s}
	bad := func() (Time, error) {
		return Time{}, fmt.Errorf("%q is not a time; want RFC 3339, +1m30s from the start, -5m from the end, #812 for a record, mark:TEXT, start or end", s)
	}
	switch {
	case s == "":
		return Time{}, nil
	case s == "start":
		t.kind, t.ns = timeWall, math.MinInt64
	case s == "end":
		t.kind, t.ns = timeWall, math.MaxInt64
	case strings.HasPrefix(s, "mark:"):
		t.kind, t.mark = timeMark, s[len("mark:"):]
		if t.mark == "" {
			return bad()
		}
	case s[0] == '#':
		n, err := strconv.ParseUint(s[1:], 10, 64)
		if err != nil {
			return bad()
		}
		t.kind, t.seq = timeRecord, n
	case s[0] == '+' || s[0] == '-':
		d, err := time.ParseDuration(s[1:])
		if err != nil || d < 0 {
			return bad()
		}
		t.kind, t.ns = timeFromStart, int64(d)
		if s[0] == '-' {
			t.kind, t.ns = timeFromEnd, int64(-d)
		}
	default:
		w, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || w.Before(time.Unix(0, math.MinInt64)) || w.After(time.Unix(0, math.MaxInt64)) {
			return bad()
		}
		t.kind, t.ns = timeWall, w.UnixNano()
	}
	return t, nil
}

// String returns the time as the user wrote it.
func (t Time) String() string { return t.text }

// IsZero reports whether t is no time.
func (t Time) IsZero() bool { return t.kind == timeNone }

// NeedsScan reports whether the tapes must be read to find the place: it counts
// from their end, or is a mark.
func (t Time) NeedsScan() bool { return t.kind == timeFromEnd || t.kind == timeMark }

// settle makes a time that counts from the start of the recording a steady time.
func (t *Time) settle(start int64) {
	if t.kind == timeFromStart {
		t.kind, t.ns = timeSteady, AddTime(start, t.ns)
	}
}

// compare returns -1 if a record is before the time, 0 if it is at it, and 1 if it is
// after it. Every record is after a time that is none or not settled.
func (t *Time) compare(p position) int {
	switch t.kind {
	case timeSteady:
		return cmp.Compare(p.steady, t.ns)
	case timeWall:
		return cmp.Compare(p.wall, t.ns)
	case timeRecord:
		return cmp.Compare(p.seq, t.seq)
	case timeCount:
		return cmp.Compare(p.count, t.seq)
	case timePlace:
		return cmp.Or(cmp.Compare(p.tape, t.tape), cmp.Compare(p.seq, t.seq))
	}
	return 1
}

// AddTime adds two times or durations in ns. A sum out of range is the smallest or
// the largest int64.
func AddTime(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}
