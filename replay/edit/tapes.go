package edit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
	sources "github.com/topotape/topotape/reporter/source"
)

// A scannedTape is one of the tapes to be merged, with what a first reading finds.
type scannedTape struct {
	input       replay.Input // of this tape alone
	base        int64        // offset of the tape in its file
	header      *capture.Header
	sum         [32]byte // SHA-256 of the file
	ending      tape.Ending
	first, last uint64   // lowest and highest record number; 0 if no record has one
	from, to    int64    // times of the first and the last record
	ticks       bool     // it has ticks
	sources     []source // that have records
	steps       []clockStep

	carryLeftOut bool // of the merged tape
}

// A clockStep is a step of the wall clock.
type clockStep struct{ at, step int64 }

// maxSteps bounds the steps of a tape's clock.
const maxSteps = 1 << 16

// scanTapes reads the inputs. It lists the tapes in the order of the command line.
func scanTapes(inputs []replay.Input) (tapes []*scannedTape, err error) {
	var heads replay.Heads
	for _, in := range inputs {
		f, err := in.Open()
		if err != nil {
			return nil, err
		}
		list, err := scanFile(in, f, &heads)
		f.Close()
		var damage *tape.DamageError
		switch {
		case errors.As(err, &damage):
			return nil, fmt.Errorf("%s: %w; topotape recover saves what is left of it", in.Name, err)
		case err != nil:
			return nil, fmt.Errorf("%s: %w", in.Name, err)
		}
		tapes = append(tapes, list...)
	}
	return tapes, nil
}

// scanFile reads the tapes of one file.
func scanFile(in replay.Input, file io.Reader, heads *replay.Heads) (list []*scannedTape, err error) {
	sum := sha256.New()
	reader, err := tape.NewReader(io.TeeReader(file, sum))
	for more := true; more && err == nil; more, err = reader.NextTape() {
		t := &scannedTape{base: reader.Base(), header: heads.Keep(reader.Header())}
		if err := t.scan(reader); err != nil {
			return nil, err
		}
		t.ending = reader.Ending()
		list = append(list, t)
	}
	for i, t := range list {
		end := int64(math.MaxInt64)
		if i+1 < len(list) {
			end = list[i+1].base
		}
		t.input = in.Part(t.base, end-t.base)
		t.sum = [32]byte(sum.Sum(nil))
	}
	return list, err
}

func (t *scannedTape) scan(reader *tape.Reader) error {
	for empty := true; ; empty = false {
		r, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if empty {
			t.from = r.At
		}
		if t.first == 0 {
			t.first = r.Seq
		}
		t.last, t.to = max(t.last, r.Seq), r.At
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
			t.noteSource(&r)
			if len(t.sources) > sources.Max {
				return fmt.Errorf("it has more than %d sources", sources.Max)
			}
		}
	}
}

// noteSource adds the source of a record to the list, or what a first source record
// says of it.
func (t *scannedTape) noteSource(r *capture.Record) {
	if r.Source == 0 {
		return
	}
	at := slices.IndexFunc(t.sources, func(s source) bool { return s.number == r.Source })
	if at >= 0 && (r.Kind != capture.KindSource || t.sources[at].sourceID != sourceID{kind: t.sources[at].kind}) {
		return
	}
	id := sourceID{kind: r.Kind.Source()}
	var s capture.Source
	if r.Kind == capture.KindSource && r.Decode(&s) == nil {
		id = idOf(&s)
	}
	if at < 0 {
		t.sources = append(t.sources, source{r.Source, id})
	} else {
		t.sources[at].sourceID = id
	}
}

// recovered reports whether Recover made the tape. Its witnesses prove nothing
// about the whole recording, because its reports have gaps.
func (t *scannedTape) recovered() bool { return t.header.Derived.Verb == "recover" }

// mayBeAdded reports whether a verb may have added a record of this kind, in place
// of one that is lost or was on none of its tapes.
func (t *scannedTape) mayBeAdded(k capture.Kind) bool {
	return isDerived(t.header) && (k == capture.KindGap || k == capture.KindSource || k == capture.KindWitness)
}
