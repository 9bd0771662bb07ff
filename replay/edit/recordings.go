package edit

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
)

// A mergeTape is one of the tapes to be merged, and what a first reading says
// of it.
type mergeTape struct {
	input       replay.Input // of this tape alone
	base        int64        // where it begins in the file of that name
	order       int          // among all tapes, as they were named
	header      *capture.Header
	sum         *[32]byte // SHA-256 of the input
	ending      capture.Ending
	first, last uint64 // numbers of records
	from, to    int64  // their times
	records     uint64
	ticks       bool
	sources     []seenSource
	steps       []clockStep
	told        bool // that what it carries is left out
}

// A seenSource is a source that a tape tells of.
type seenSource struct {
	number uint32
	id     sourceID
}

// sourceID says what a source sees, whatever its number is.
type sourceID struct {
	kind      string
	netns     uint64
	Interface string
}

// A clockStep is a step of the wall clock.
type clockStep struct{ at, step int64 }

// maxSteps bounds the steps of a tape's clock.
const maxSteps = 1 << 16

// scanTapes reads the inputs through.
func scanTapes(inputs []replay.Input) (tapes []*mergeTape, err error) {
	for _, in := range inputs {
		f, err := in.Open()
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		list, err := scanInput(in, io.TeeReader(f, sum))
		f.Close()
		var damage *capture.DamageError
		switch {
		case errors.As(err, &damage):
			return nil, fmt.Errorf("%s: %w; topotape recover saves what is left of it", in.Name, err)
		case err != nil:
			return nil, fmt.Errorf("%s: %w", in.Name, err)
		}
		for _, t := range list {
			t.order = len(tapes)
			copy(t.sum[:], sum.Sum(nil))
			tapes = append(tapes, t)
		}
	}
	return tapes, nil
}

func scanInput(in replay.Input, src io.Reader) (list []*mergeTape, err error) {
	reader, err := capture.NewReader(src)
	for more := true; more && err == nil; more, err = reader.NextTape() {
		h := *reader.Header()
		t := &mergeTape{base: reader.Base(), header: &h, sum: new([32]byte)}
		if len(list) > 0 {
			before := list[len(list)-1]
			before.input = in.Part(before.base, t.base-before.base)
		}
		if err := t.scan(reader); err != nil {
			return nil, err
		}
		t.ending = reader.Ending()
		list = append(list, t)
	}
	if len(list) > 0 {
		last := list[len(list)-1]
		last.input = in.Part(last.base, math.MaxInt64-last.base)
	}
	return list, err
}

func (t *mergeTape) scan(reader *capture.Reader) error {
	for {
		r, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if t.records == 0 {
			t.from = r.At
		}
		if t.first == 0 {
			t.first = r.Seq
		}
		t.records, t.last, t.to = t.records+1, max(t.last, r.Seq), r.At
		switch r.Kind {
		case capture.KindTick:
			t.ticks = true
		case capture.KindClock:
			var c capture.Clock
			if r.Decode(&c) == nil {
				t.steps = append(t.steps, clockStep{r.At, c.Step})
			}
			if len(t.steps) > maxSteps {
				return fmt.Errorf("its clock was stepped more than %d times", maxSteps)
			}
		default:
			t.see(&r)
			if len(t.sources) > reporter.MaxSources {
				return fmt.Errorf("it names more than %d sources", reporter.MaxSources)
			}
		}
	}
}

func (t *mergeTape) see(r *capture.Record) {
	if r.Source == 0 {
		return
	}
	at := slices.IndexFunc(t.sources, func(s seenSource) bool { return s.number == r.Source })
	if at >= 0 && (r.Kind != capture.KindSource || t.sources[at].id != sourceID{kind: t.sources[at].id.kind}) {
		return
	}
	id := sourceID{kind: r.Kind.Source()}
	var s capture.Source
	if r.Kind == capture.KindSource && r.Decode(&s) == nil {
		id = sourceID{s.Kind, s.Netns, s.Interface}
	}
	if at < 0 {
		t.sources = append(t.sources, seenSource{r.Source, id})
	} else {
		t.sources[at].id = id
	}
}

// made reports whether a verb may have put the record in the place of one that is
// lost or on no tape that it had.
func (t *mergeTape) made(k capture.Kind) bool {
	verb := t.header.Derived.Verb
	return verb != "" && verb != "build" && (k == capture.KindGap || k == capture.KindSource || k == capture.KindWitness)
}

// A recording is the tapes of one recording, in the order of their records.
type recording struct {
	tapes   []*mergeTape
	order   int // of the first that was named
	ticks   bool
	from    int64 // times of its first and last record
	to      int64
	sources []seenSource
	steps   []clockStep

	offset  int64 // of its times on the merged line
	numbers map[uint32]uint32
}

func (r *recording) header() *capture.Header { return r.tapes[0].header }

// recordings puts tapes of one recording together.
func recordings(tapes []*mergeTape) (list []*recording, err error) {
	for _, t := range tapes {
		at := slices.IndexFunc(list, func(r *recording) bool { return r.header().Origin() == t.header.Origin() })
		if at < 0 {
			list = append(list, &recording{order: t.order, from: t.from})
			at = len(list) - 1
		}
		r := list[at]
		if len(r.tapes) > 0 && r.header().Start != t.header.Start {
			return nil, fmt.Errorf("%s and %s are of one recording, and tell different starts of it", r.tapes[0].input.Name, t.input.Name)
		}
		r.tapes = append(r.tapes, t)
		r.ticks = r.ticks || t.ticks
		r.from, r.to = min(r.from, t.from), max(r.to, t.to)
		r.steps = append(r.steps, t.steps...)
		for _, s := range t.sources {
			if !slices.ContainsFunc(r.sources, func(o seenSource) bool { return o.number == s.number }) {
				r.sources = append(r.sources, s)
			}
		}
	}
	for _, r := range list {
		slices.SortFunc(r.tapes, func(a, b *mergeTape) int {
			return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.header.Segment, b.header.Segment), bytes.Compare(a.header.TapeID[:], b.header.TapeID[:]))
		})
		slices.SortFunc(r.steps, func(a, b clockStep) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.step, b.step)) })
		r.steps = slices.Compact(r.steps) // where tapes overlap
	}
	return list, nil
}

// stream reads one tape, from one numbered record to the next.
type stream struct {
	tape    *mergeTape
	file    io.Closer
	reader  *capture.Reader
	rec     capture.Record   // the next one
	carried []capture.Record // what stands before it
	before  uint64           // number of the one before it
	done    bool
}

func (t *mergeTape) open() (*stream, error) {
	f, err := t.input.Open()
	if err != nil {
		return nil, err
	}
	s := &stream{tape: t, file: f}
	if s.reader, err = capture.NewReader(f); err == nil {
		s.reader.Copying()
		err = s.advance()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", t.input.Name, err)
	}
	return s, nil
}

// maxCarried bounds the bytes of a state that is kept until the record behind
// it tells whether it is needed; a larger one is left out.
const maxCarried = 1 << 30

func (s *stream) advance() (err error) {
	s.before, s.carried = s.rec.Seq, nil
	for size := 0; ; {
		if s.rec, err = s.reader.Next(); err == io.EOF {
			s.done = true
			return s.file.Close()
		}
		if err != nil || s.rec.Seq != 0 {
			return err
		}
		if size += len(s.rec.Payload); size > maxCarried {
			s.carried = nil
			continue
		}
		part := s.rec
		part.Payload = bytes.Clone(part.Payload)
		s.carried = append(s.carried, part)
	}
}
