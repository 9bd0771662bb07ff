package survey

import (
	"fmt"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

// Facts are the contents of tapes as info prints them, in its order. The names of
// the fields in JSON are a contract.
type Facts struct {
	Tapes       []infoTape     `json:"tapes"`
	Records     uint64         `json:"records"`
	Bytes       uint64         `json:"bytes"`
	Duration    string         `json:"duration"`
	RecordsRate float64        `json:"records_per_second"`
	Kinds       []infoKind     `json:"kinds"`
	KindsMore   uint64         `json:"kinds_more_records,omitempty"`
	Sources     []infoSource   `json:"sources"`
	SourcesMore uint64         `json:"sources_more,omitempty"`
	Gaps        []infoGap      `json:"gaps"`
	GapsMore    uint64         `json:"gaps_more,omitempty"`
	Marks       []infoMark     `json:"marks"`
	MarksMore   uint64         `json:"marks_more,omitempty"`
	Ticks       uint64         `json:"ticks"`
	Witnesses   uint64         `json:"witnesses"`
	Faults      []infoFault    `json:"faults"`
	ClockSteps  []infoClock    `json:"clock_steps"`
	Coverage    []infoCoverage `json:"coverage"`
	Host        *infoHost      `json:"host,omitempty"`
	Damage      string         `json:"damage,omitempty"`
	DamageMore  int            `json:"damage_more,omitempty"`
	Top         *infoTop       `json:"top,omitempty"`

	survey *Survey
}

type infoTape struct {
	Name      string       `json:"name"`
	Ending    string       `json:"ending"`
	Read      string       `json:"read"` // what was read: index, checksums or all
	HostID    string       `json:"host_id"`
	HostName  string       `json:"host_name"`
	Start     string       `json:"start"`
	First     string       `json:"first"` // record, time since the start
	Last      string       `json:"last"`
	Duration  string       `json:"duration"`
	Records   uint64       `json:"records"`
	Bytes     uint64       `json:"bytes"`
	Missing   uint64       `json:"missing_numbers"`
	TapeID    string       `json:"tape_id"`
	Recording string       `json:"recording,omitempty"`
	Segment   uint32       `json:"segment"`
	Tool      string       `json:"tool"`
	Format    string       `json:"format"`
	Core      uint32       `json:"core"`
	Recorder  string       `json:"recorder,omitempty"`
	Command   []string     `json:"command,omitempty"`
	Note      string       `json:"note,omitempty"`
	Derived   string       `json:"derived,omitempty"`
	From      *infoDerived `json:"derived_from,omitempty"`
	Unknown   uint64       `json:"unknown_records,omitempty"`
}

type infoDerived struct {
	Verb    string       `json:"verb"`
	Args    []string     `json:"args"`
	Parents []infoParent `json:"parents"`
}

type infoParent struct {
	TapeID string `json:"tape_id"`
	SHA256 string `json:"sha256,omitempty"`
}

type infoKind struct {
	Kind    string  `json:"kind"`
	Source  uint32  `json:"source"`
	Records uint64  `json:"records"`
	Bytes   uint64  `json:"bytes"`
	Rate    float64 `json:"records_per_second"`
}

type infoSource struct {
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

type infoGap struct {
	Record uint64 `json:"record"`
	At     string `json:"at"`
	Source uint32 `json:"source"`
	Kind   string `json:"kind"`
	Lost   uint64 `json:"lost"`
	Exact  bool   `json:"exact"`
	Why    string `json:"why"`
}

type infoMark struct {
	Record uint64 `json:"record"`
	At     string `json:"at"`
	Text   string `json:"text"`
}

type infoClock struct {
	Record uint64 `json:"record"`
	At     string `json:"at"`
	Step   string `json:"step"`
	Wall   string `json:"wall"`
}

type infoFault struct {
	Record  uint64 `json:"record"`
	Message string `json:"message"`
}

type infoHost struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Kernel        string   `json:"kernel"`
	BootID        string   `json:"boot_id"`
	Interfaces    int      `json:"interfaces"`
	LocalNetworks []string `json:"local_networks"`
}

type infoCoverage struct {
	Source      string     `json:"source"`
	State       string     `json:"state"`
	Why         string     `json:"why"`
	Records     uint64     `json:"records"`
	Lost        uint64     `json:"lost"`
	Undecodable *uint64    `json:"undecodable"` // null without an end record and a replay
	Ignored     *uint64    `json:"ignored"`     // null without a replay
	Number      uint32     `json:"number"`
	Tape        int        `json:"tape"` // index of the recording's first tape
	Spans       []infoSpan `json:"spans"`
}

type infoSpan struct {
	From  string `json:"from"`
	To    string `json:"to"`
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
}

// Facts returns the facts of the survey, without Top.
func (v *Survey) Facts() *Facts {
	f := &Facts{survey: v, Records: v.Records, Bytes: v.Bytes, Duration: spell(v.Duration), RecordsRate: perSecond(v.Records, v.Duration),
		GapsMore: v.GapsMore, KindsMore: v.CountsMore, SourcesMore: v.SourcesMore, MarksMore: v.MarksMore, Ticks: v.CountOf(capture.KindTick), Witnesses: v.CountOf(capture.KindWitness)}
	for i := range v.Tapes {
		f.Tapes = append(f.Tapes, tapeFacts(&v.Tapes[i]))
	}
	for _, c := range v.Counts {
		f.Kinds = append(f.Kinds, infoKind{capture.Kind(c.Kind).String(), c.Source, c.Records, c.Bytes, perSecond(c.Records, v.Duration)})
	}
	for _, s := range v.Sources {
		f.Sources = append(f.Sources, infoSource{s.Number, s.Kind, s.Netns, s.Interface, s.Buffer, s.Snaplen, sinceStart(s.Opened), sinceStart(s.Closed), s.Why})
	}
	for _, g := range v.Gaps {
		f.Gaps = append(f.Gaps, infoGap{g.Seq, spell(g.At), g.Source, g.Kind, g.Value.Lost, g.Value.Exact, g.Value.Why})
	}
	for _, m := range v.Marks {
		f.Marks = append(f.Marks, infoMark{m.Seq, spell(m.At), m.Value.Text})
	}
	for _, c := range v.Clocks {
		f.ClockSteps = append(f.ClockSteps, infoClock{c.Seq, spell(c.At), spell(c.Value.Step), wallText(c.Value.Wall)})
	}
	for _, p := range v.Faults {
		f.Faults = append(f.Faults, infoFault{p.Record, p.Message})
	}
	for i := range v.Coverage {
		f.Coverage = append(f.Coverage, coverageFacts(&v.Coverage[i]))
	}
	if h := v.Host; h != nil {
		f.Host = &infoHost{h.ID, h.Name, h.Kernel, h.BootID, len(h.Interfaces), h.LocalNetworks}
		notNull(&f.Host.LocalNetworks)
	}
	if len(v.Damage) > 0 {
		f.Damage, f.DamageMore = v.Damage[0].Error(), len(v.Damage)-1
	}
	notNull(&f.Tapes)
	notNull(&f.Kinds)
	notNull(&f.Sources)
	notNull(&f.Gaps)
	notNull(&f.Marks)
	notNull(&f.ClockSteps)
	notNull(&f.Faults)
	notNull(&f.Coverage)
	return f
}

// notNull makes a nil list an empty one, [] in JSON.
func notNull[T any](l *[]T) {
	if *l == nil {
		*l = []T{}
	}
}

func spell(ns int64) string { return time.Duration(ns).String() }

func wallText(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// sinceStart returns a time since the start, "" for one before it.
func sinceStart(at int64) string {
	if at < 0 {
		return ""
	}
	return spell(at)
}

// perSecond returns the rate of n events in ns nanoseconds, 0 if no time passed.
func perSecond(n uint64, ns int64) float64 {
	if ns <= 0 {
		return 0
	}
	return float64(n) / (float64(ns) / 1e9)
}

func tapeFacts(v *Tape) infoTape {
	h := v.Header
	t := infoTape{Name: v.Name, Ending: v.Ending.String(), Read: v.Reading.String(), HostID: h.HostID, HostName: h.HostName, Start: wallText(h.Start),
		First: spell(v.First), Last: spell(v.Last), Duration: spell(v.Last - v.First), Records: v.Records, Bytes: v.Bytes, Missing: v.Missing,
		TapeID: fmt.Sprintf("%x", h.TapeID), Segment: h.Segment, Tool: h.Tool, Format: fmt.Sprintf("%d.%d", tape.Format, h.Minor),
		Core: h.Core, Recorder: h.Recorder, Command: h.Command, Note: h.Note, Unknown: v.Unknown}
	if h.Recording != [16]byte{} {
		t.Recording = fmt.Sprintf("%x", h.Recording)
	}
	d := &h.Derived
	if d.Verb == "" {
		return t
	}
	t.Derived = d.Verb
	t.From = &infoDerived{Verb: d.Verb, Args: d.Args, Parents: []infoParent{}}
	notNull(&t.From.Args)
	if d.Parent != [16]byte{} {
		t.Derived += fmt.Sprintf(" of %x", d.Parent)
		t.From.Parents = append(t.From.Parents, parentFacts(d.Parent, d.SHA256))
	}
	for _, p := range d.Others {
		t.From.Parents = append(t.From.Parents, parentFacts(p.TapeID, p.SHA256))
	}
	return t
}

func parentFacts(id [16]byte, sum [32]byte) infoParent {
	p := infoParent{TapeID: fmt.Sprintf("%x", id)}
	if sum != [32]byte{} {
		p.SHA256 = fmt.Sprintf("%x", sum)
	}
	return p
}

func coverageFacts(c *Coverage) infoCoverage {
	f := infoCoverage{Source: c.Kind, State: string(c.State), Why: c.Why, Records: c.Records, Lost: c.Lost, Undecodable: c.Undecodable,
		Number: c.Number, Tape: c.Tape, Spans: []infoSpan{}}
	for _, s := range c.Spans {
		f.Spans = append(f.Spans, infoSpan{spell(s.From), spell(s.To), string(s.State), s.Why})
	}
	return f
}
