package survey

import (
	"fmt"
	"io"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/replay"
)

// A Survey describes the contents of tapes, in the order in which info prints them.
// The names of the fields in JSON are a contract. No list is nil. The lists of gaps,
// marks, faults, clock steps, stalls and events of the host have at most maxListed elements.
type Survey struct {
	Tapes       []tapeFacts `json:"tapes"`
	Records     uint64      `json:"records"`  // of kinds that this version knows
	Bytes       uint64      `json:"bytes"`    // of their payloads
	Duration    duration    `json:"duration"` // from the first to the last record, of all tapes together
	Rate        float64     `json:"records_per_second"`
	Kinds       []kindCount `json:"kinds"`                        // at most maxCounts
	KindsMore   uint64      `json:"kinds_more_records,omitempty"` // records of other sources and kinds
	Sources     []opening   `json:"sources"`                      // at most sources.Max
	SourcesMore uint64      `json:"sources_more,omitempty"`
	Gaps        []gap       `json:"gaps"`
	GapsMore    uint64      `json:"gaps_more,omitempty"`
	Marks       []mark      `json:"marks"`
	MarksMore   uint64      `json:"marks_more,omitempty"`
	Ticks       uint64      `json:"ticks"`
	Witnesses   uint64      `json:"witnesses"`
	Faults      []fault     `json:"faults"`
	ClockSteps  []clockStep `json:"clock_steps"`
	Stalls      []stall     `json:"stalls"`
	HostEvents  []hostEvent `json:"host_events"` // of counters; stalls are listed for themselves
	HostMore    uint64      `json:"host_events_more,omitempty"`
	Coverage    []coverage  `json:"coverage"`
	Host        *host       `json:"host,omitempty"`                // the last one, nil if there is none
	Undecodable uint64      `json:"undecodable_records,omitempty"` // of the records to list: malformed, or with a text or list beyond a limit
	Damage      string      `json:"damage,omitempty"`              // the first one
	DamageMore  int         `json:"damage_more,omitempty"`
	Top         *statistics `json:"top,omitempty"` // nil until AddTop
	HostBars    []hostBar   `json:"-"`             // of the recordings whose hosts had events
}

// tapeFacts describe one of the tapes.
type tapeFacts struct {
	End       replay.TapeEnd `json:"-"`
	Name      string         `json:"name"`
	Ending    string         `json:"ending"`
	Reading   reading        `json:"read"`
	HostID    string         `json:"host_id"`
	HostName  string         `json:"host_name"`
	Start     string         `json:"start"`
	First     duration       `json:"first"` // record, time since the start
	Last      duration       `json:"last"`
	Duration  duration       `json:"duration"`
	Records   uint64         `json:"records"`
	Bytes     uint64         `json:"bytes"`
	Missing   uint64         `json:"missing_numbers"` // record numbers that are not on the tape, between the first and the last
	TapeID    string         `json:"tape_id"`
	Recording string         `json:"recording,omitempty"`
	Segment   uint32         `json:"segment"`
	Tool      string         `json:"tool"`
	Format    string         `json:"format"`
	Core      uint32         `json:"core"`
	Recorder  string         `json:"recorder,omitempty"`
	Command   []string       `json:"command,omitempty"`
	Note      string         `json:"note,omitempty"`
	Derived   string         `json:"derived,omitempty"`
	From      *derivation    `json:"derived_from,omitempty"`
	Unknown   uint64         `json:"unknown_records,omitempty"` // of kinds that this version does not know
}

// A derivation is how a tape was made from others.
type derivation struct {
	Verb    string   `json:"verb"`
	Args    []string `json:"args"`
	Parents []parent `json:"parents"`
}

type parent struct {
	TapeID string `json:"tape_id"`
	SHA256 string `json:"sha256,omitempty"`
}

// A reading is how much of a tape was read.
type reading string

const (
	readAll    reading = "all"       // every record
	readFrames reading = "checksums" // the index, and the checksum of every frame
	readIndex  reading = "index"     // the index only
)

// A kindCount counts the records of one kind from one source.
type kindCount struct {
	Kind    string  `json:"kind"`
	Source  uint32  `json:"source"`
	Records uint64  `json:"records"`
	Bytes   uint64  `json:"bytes"`
	Rate    float64 `json:"records_per_second"`
}

// An opening is the time during which a source was open. Opened and Closed are empty if
// there is no record of it.
type opening struct {
	Number    uint32 `json:"number"`
	Kind      string `json:"kind"`
	Netns     uint64 `json:"netns,omitempty"`
	Interface string `json:"interface,omitempty"`
	Buffer    uint64 `json:"buffer,omitempty"`
	Snaplen   uint32 `json:"snaplen,omitempty"`
	Opened    string `json:"opened,omitempty"`
	Closed    string `json:"closed,omitempty"`
	Why       string `json:"why,omitempty"`
}

type gap struct {
	Record uint64 `json:"record"`
	At     string `json:"at"`
	Source uint32 `json:"source"`
	Kind   string `json:"kind"` // of the source
	Lost   uint64 `json:"lost"`
	Exact  bool   `json:"exact"`
	Why    string `json:"why"`
	Since  string `json:"since,omitempty"` // the last moment at which nothing was lost yet
}

// A stall is a time during which the recorder stood still.
type stall struct {
	Record   uint64 `json:"record"`
	At       string `json:"at"` // its end
	Duration string `json:"duration"`
}

// A hostEvent is something that the host's counters show.
type hostEvent struct {
	Record uint64 `json:"record"`
	At     string `json:"at"` // the end of the time in which it happened
	What   string `json:"what"`
	Count  uint64 `json:"count"`
}

type mark struct {
	Record uint64 `json:"record"`
	At     string `json:"at"`
	Text   string `json:"text"`
}

type clockStep struct {
	Record uint64 `json:"record"`
	At     string `json:"at"`
	Step   string `json:"step"`
	Wall   string `json:"wall"`
}

type fault struct {
	Record  uint64 `json:"record"` // on which the core panicked
	Message string `json:"message"`
}

type host struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Kernel        string   `json:"kernel"`
	BootID        string   `json:"boot_id"`
	Interfaces    int      `json:"interfaces"`
	LocalNetworks []string `json:"local_networks"`
}

// A duration in ns is a text such as 1.5s in JSON.
type duration int64

func (d duration) String() string { return time.Duration(d).String() }

// MarshalText returns the duration as JSON has it.
func (d duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// spell returns a duration in ns as a text.
func spell(ns int64) string { return duration(ns).String() }

// wallText returns a time in Unix ns.
func wallText(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// perSecond returns the rate of n events, 0 if no time passed.
func perSecond(n uint64, d duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / (float64(d) / 1e9)
}

// newTape returns a tape, as far as its header describes it.
func newTape(h *capture.Header) tapeFacts {
	t := tapeFacts{Reading: readAll, HostID: h.HostID, HostName: h.HostName, Start: wallText(h.Start),
		TapeID: fmt.Sprintf("%x", h.TapeID), Recording: hexOrEmpty(h.Recording), Segment: h.Segment,
		Tool: h.Tool, Format: fmt.Sprintf("%d.%d", tape.Format, h.Minor), Core: h.Core,
		Recorder: h.Recorder, Command: h.Command, Note: h.Note}
	if d := &h.Derived; d.Verb != "" {
		t.Derived = d.Verb
		t.From = &derivation{Verb: d.Verb, Args: append([]string{}, d.Args...), Parents: []parent{}}
		parents := d.Others
		if d.Parent != [16]byte{} {
			t.Derived += fmt.Sprintf(" of %x", d.Parent)
			parents = append([]capture.Parent{{TapeID: d.Parent, SHA256: d.SHA256}}, parents...)
		}
		for _, p := range parents {
			t.From.Parents = append(t.From.Parents, parent{fmt.Sprintf("%x", p.TapeID), hexOrEmpty(p.SHA256)})
		}
	}
	return t
}

// hexOrEmpty returns the hexadecimal text of an id or a hash, "" if it is zero.
func hexOrEmpty[T [16]byte | [32]byte](v T) string {
	var zero T
	if v == zero {
		return ""
	}
	return fmt.Sprintf("%x", v)
}

// ended sets how the tape ended.
func (t *tapeFacts) ended(e replay.TapeEnd) {
	t.End, t.Name, t.Ending, t.Unknown = e, e.Name, e.Ending.String(), e.Unknown
	t.Missing -= min(t.Missing, e.Unknown) // records of unknown kinds have numbers too
}

// Read surveys tapes. With useIndex it reads only the index of a tape that is closed
// and whose input can be read at any offset, and the chunks that have records to list.
// Other tapes it reads completely. Both ways give the same result for an intact tape;
// damage between the chunks that were read is noticed in files of up to 32 MiB, whose
// checksums are compared. Damage is no error.
func Read(inputs []replay.Input, useIndex bool) (*Survey, error) {
	s := newSurveyor()
	for _, in := range inputs {
		if err := s.input(in, useIndex); err != nil {
			return nil, err
		}
	}
	return s.finish(), nil
}

// input surveys one input. It opens it once: a pipe cannot be opened again.
func (s *surveyor) input(in replay.Input, useIndex bool) error {
	file, err := in.Open()
	if err != nil {
		return err
	}
	if f, ok := file.(randomAccess); ok && useIndex && s.byIndex(in.Name, f) {
		return file.Close()
	}
	in.Open = func() (io.ReadCloser, error) { return file, nil }
	return s.byReading(in)
}
