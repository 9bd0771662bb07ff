package replay

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Time is a place on tapes, as people write it. The zero Time is none.
type Time struct {
	text string
	kind timeKind
	ns   int64  // Unix ns, or ns from the start or the end
	seq  uint64 // number of a record
	mark string
}

type timeKind uint8

const (
	timeNone timeKind = iota
	timeWall
	timeFromStart
	timeFromEnd
	timeRecord
	timeMark
)

// ParseTime reads a time: RFC 3339, +1m30s from the recording's start, -5m from
// the last record, #812 a record, mark:TEXT, start and end (before and behind
// everything). Empty is the zero Time.
func ParseTime(s string) (Time, error) {
	t := Time{text: s}
	bad := func() (Time, error) {
		return Time{}, fmt.Errorf("%q is no time; want RFC 3339, +1m30s from the start, -5m from the end, #812 for a record, mark:TEXT, start or end", s)
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

// String is the time as it was written.
func (t Time) String() string { return t.text }

// IsZero reports whether there is no time.
func (t Time) IsZero() bool { return t.kind == timeNone }

// NeedsScan reports whether the tapes must be read once to find the place: it
// counts from their end, or is a mark's.
func (t Time) NeedsScan() bool { return t.kind == timeFromEnd || t.kind == timeMark }

// A Window is from one place on, up to another. A zero Time leaves that side
// open.
type Window struct{ From, To Time }

// A bound is a Time for certain tapes.
type bound struct {
	kind  boundKind
	ns    int64  // Unix ns, or, until the recording's start is known, from it
	seq   uint64 // of a record
	count uint64 // how many were read with it
	tape  int    // which seq is of, counted from the first
}

type boundKind uint8

const (
	boundNone   boundKind = iota
	boundStart            // to be settled
	boundSteady           // on a clock that is never stepped
	boundWall
	boundSeq
	boundCount
	boundPlace // seq of a tape
)

// position is where a record stands.
type position struct {
	steady int64 // Unix ns, without the steps of the wall clock
	Wall   int64 // Unix ns, as reports say it
	seq    uint64
	count  uint64
	tape   int
}

// settle turns a bound that counts from the start into a time.
func (b *bound) settle(start int64) {
	if b.kind == boundStart {
		b.kind, b.ns = boundSteady, AddTime(start, b.ns)
	}
}

// AddTime adds without overflow.
func AddTime(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}

// before reports whether the record stands before the bound, or at it.
func (b *bound) before(p position) (before, at bool) {
	switch b.kind {
	case boundSteady:
		return p.steady < b.ns, p.steady == b.ns
	case boundWall:
		return p.Wall < b.ns, p.Wall == b.ns
	case boundSeq:
		return p.seq < b.seq, p.seq == b.seq
	case boundCount:
		return p.count < b.count, p.count == b.count
	case boundPlace:
		return p.tape < b.tape || p.tape == b.tape && p.seq < b.seq, p.tape == b.tape && p.seq == b.seq
	}
	return false, false
}
