package edit

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	sources "github.com/topotape/topotape/reporter/source"
)

// tapeFacts is what a first reading of a broken tape finds.
type tapeFacts struct {
	records  uint64
	header   capture.Header
	unopened []unopenedSource

	headLost bool
	// The parts of a lost header that the records show.
	host, start, byteOrder bool
}

// An unopenedSource has records on the tape, but its opening is not there: that
// is lost, or was never recorded.
type unopenedSource struct {
	source
	first uint64 // number of its first record
}

// fromOne reports whether the tape's first record is known to have number 1.
func (f *tapeFacts) fromOne() bool {
	return !f.headLost && f.header.Segment == 0 && f.header.Derived.Verb == ""
}

// sparse reports whether numbers may be missing on the tape without a loss: the
// tape was cut, merged or recovered.
func (f *tapeFacts) sparse() bool { return isDerived(&f.header) }

// readFacts reads the tape from start to end. If its head is lost, it makes a header.
func (t *brokenTape) readFacts() (*tapeFacts, error) {
	facts := &tapeFacts{header: capture.Header{Minor: tape.Minor, TapeID: t.tapeID(), Note: "the head of this tape was lost; this head is made from its records"}}
	reader, err := t.open(false, nil)
	var damage *tape.DamageError
	if !t.head || errors.As(err, &damage) || errors.Is(err, tape.ErrNotTape) {
		facts.headLost = true
		reader, err = t.open(true, &facts.header)
	}
	if err != nil {
		return nil, err
	}
	if !facts.headLost {
		facts.header = *reader.Header()
	}
	listed := map[uint32]bool{}
	err = eachRecord(reader, func(r *capture.Record, damage *tape.DamageError) error {
		if damage != nil {
			return nil
		}
		facts.records++
		if facts.headLost {
			facts.guessHeader(r)
		}
		kind := r.Kind.Source()
		if listed[r.Source] || len(listed) >= sources.Max || kind == "" && r.Kind != capture.KindSource {
			return nil
		}
		listed[r.Source] = true
		if kind != "" {
			facts.unopened = append(facts.unopened, unopenedSource{source{r.Source, sourceID{kind: kind}}, r.Seq})
		}
		return nil
	})
	return facts, err
}

// guessHeader restores parts of a lost header from the first records that have them.
func (f *tapeFacts) guessHeader(r *capture.Record) {
	switch r.Kind {
	case capture.KindHost:
		var h capture.Host
		if !f.host && r.Decode(&h) == nil && h.ID != "" {
			f.header.HostID, f.header.HostName, f.host = h.ID, h.Name, true
		}
	case capture.KindClock:
		var c capture.Clock
		if !f.start && r.Decode(&c) == nil {
			f.header.Start, f.start = c.Wall-c.Step-r.At, true
		}
	case capture.KindConntrack, capture.KindDumpEntry: // a netlink message begins with its length
		if n := uint32(len(r.Payload)); !f.byteOrder && n >= 16 {
			big := binary.BigEndian.Uint32(r.Payload) == n
			f.byteOrder = big || binary.LittleEndian.Uint32(r.Payload) == n
			f.header.BigEndian = big
		}
	}
}

// guesses says which parts of a lost header are restored.
func (f *tapeFacts) guesses() (list []string) {
	if f.host {
		list = append(list, "the host is "+strings.Join(slices.Compact([]string{f.header.HostID, f.header.HostName}), " "))
	} else {
		list = append(list, "its host is unknown")
	}
	if f.start {
		list = append(list, "it starts at "+wallText(f.header.Start)+", by a clock record")
	} else {
		list = append(list, "its start is unknown: times are relative to it")
	}
	if !f.byteOrder {
		list = append(list, "its byte order is unknown: little endian is assumed")
	}
	return append(list, "local networks given by the user are lost")
}
