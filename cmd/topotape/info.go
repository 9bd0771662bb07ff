package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
)

func infoCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "info TAPE...",
		Short:   "Say what is on a tape",
		Long:    "Say what is on a tape: sources, counts, gaps, coverage, versions, and whether it is whole.",
		Example: "  topotape info x.tape\n  topotape info --format json x.tape",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usage("--format %q; this version has text and json", format)
			}
			return info(cmd, args, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

func info(cmd *cobra.Command, args []string, format string) error {
	inputs, err := tapeInputs(args, false)
	if err != nil {
		return err
	}
	var facts infoFacts
	var last *reporter.Report
	o := replay.Options{ReadOn: true, Each: facts.record}
	summary, err := replay.Run(inputs, o, func(r *reporter.Report) error {
		last = r
		return nil
	})
	if err != nil {
		return err
	}
	facts.finish(summary, last)
	out, err := createOutput("-", nil)
	if err != nil {
		return err
	}
	if format == "json" {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(&facts)
	} else {
		_, err = io.WriteString(out, facts.text())
	}
	if err := out.finish(err); err != nil {
		return err
	}
	if n := summary.Unknown(); n > 0 {
		warn(cmd, "warning: %d records of unknown kinds were skipped; a newer version wrote them", n)
	}
	var loss []string
	if summary.Damage != nil {
		loss = append(loss, summary.Damage.Error())
	}
	if cut := summary.Unclean(); cut != "" {
		loss = append(loss, cut)
	}
	if len(loss) > 0 {
		return &exitError{exitLoss, errors.New(strings.Join(loss, "; "))}
	}
	return nil
}

// infoFacts is what info says, in the order in which it says it.
type infoFacts struct {
	Tapes     []infoTape     `json:"tapes"`
	Records   uint64         `json:"records"`
	Bytes     uint64         `json:"bytes"`
	Kinds     []infoKind     `json:"kinds"`
	Sources   []infoSource   `json:"sources"`
	Gaps      []infoGap      `json:"gaps"`
	GapsMore  uint64         `json:"gaps_more,omitempty"`
	Marks     []infoMark     `json:"marks"`
	Ticks     uint64         `json:"ticks"`
	Witnesses uint64         `json:"witnesses"`
	Faults    []infoFault    `json:"faults"`
	Coverage  []infoCoverage `json:"coverage"`
	Damage    string         `json:"damage,omitempty"`

	header   *capture.Header
	counts   map[infoKey]*infoKind
	previous *infoKind // most records are of the kind of the one before
}

type infoKey struct {
	kind   capture.Kind
	source uint32
}

type infoTape struct {
	Name      string   `json:"name"`
	Ending    string   `json:"ending"`
	HostID    string   `json:"host_id"`
	HostName  string   `json:"host_name"`
	Start     string   `json:"start"`
	First     string   `json:"first"` // record, since the start
	Last      string   `json:"last"`
	TapeID    string   `json:"tape_id"`
	Recording string   `json:"recording,omitempty"`
	Segment   uint32   `json:"segment"`
	Tool      string   `json:"tool"`
	Format    string   `json:"format"`
	Core      uint32   `json:"core"`
	Recorder  string   `json:"recorder,omitempty"`
	Command   []string `json:"command,omitempty"`
	Note      string   `json:"note,omitempty"`
	Derived   string   `json:"derived,omitempty"`
	Unknown   uint64   `json:"unknown_records,omitempty"`

	first, last int64
	header      *capture.Header
}

type infoKind struct {
	Kind    string `json:"kind"`
	Source  uint32 `json:"source"`
	Records uint64 `json:"records"`
	Bytes   uint64 `json:"bytes"`
	key     infoKey
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

type infoFault struct {
	Record  uint64 `json:"record"`
	Message string `json:"message"`
}

type infoCoverage struct {
	Source      string `json:"source"`
	State       string `json:"state"`
	Why         string `json:"why"`
	Records     uint64 `json:"records"`
	Lost        uint64 `json:"lost"`
	Undecodable uint64 `json:"undecodable"`
	Ignored     uint64 `json:"ignored"`
}

// maxListed bounds the lists of gaps and marks.
const maxListed = 100

func (f *infoFacts) record(h *capture.Header, r *capture.Record) {
	if h != f.header {
		f.header = h
		f.Tapes = append(f.Tapes, infoTape{header: h, first: r.At})
	}
	f.Tapes[len(f.Tapes)-1].last = r.At
	f.Records++
	f.Bytes += uint64(len(r.Payload))
	key := infoKey{r.Kind, r.Source}
	if f.previous == nil || f.previous.key != key {
		if f.counts == nil {
			f.counts = map[infoKey]*infoKind{}
		}
		if f.counts[key] == nil {
			f.counts[key] = &infoKind{Kind: r.Kind.String(), Source: r.Source, key: key}
		}
		f.previous = f.counts[key]
	}
	f.previous.Records++
	f.previous.Bytes += uint64(len(r.Payload))
	f.event(r)
}

// event keeps the rare records that are told one by one.
func (f *infoFacts) event(r *capture.Record) {
	at := time.Duration(r.At).String()
	switch r.Kind {
	case capture.KindTick:
		f.Ticks++
	case capture.KindWitness:
		f.Witnesses++
	case capture.KindSource:
		var s capture.Source
		if r.Decode(&s) == nil {
			f.source(r.Source, &s, at)
		}
	case capture.KindGap:
		var g capture.Gap
		if len(f.Gaps) >= maxListed {
			f.GapsMore++
		} else if r.Decode(&g) == nil {
			f.Gaps = append(f.Gaps, infoGap{Record: r.Seq, At: at, Source: r.Source, Kind: f.kindOf(r.Source), Lost: g.Lost, Exact: g.Exact, Why: g.Why})
		}
	case capture.KindMark:
		var m capture.Mark
		if len(f.Marks) < maxListed && r.Decode(&m) == nil {
			f.Marks = append(f.Marks, infoMark{Record: r.Seq, At: at, Text: m.Text})
		}
	}
}

func (f *infoFacts) source(number uint32, s *capture.Source, at string) {
	if !s.Open {
		for i := len(f.Sources) - 1; i >= 0; i-- {
			if f.Sources[i].Number == number {
				f.Sources[i].Closed, f.Sources[i].Why = at, s.Why
				return
			}
		}
		f.Sources = append(f.Sources, infoSource{Number: number, Kind: s.Kind, Closed: at, Why: s.Why})
		return
	}
	f.Sources = append(f.Sources, infoSource{Number: number, Kind: s.Kind, Netns: s.Netns, Interface: s.Interface,
		Buffer: s.Buffer, Snaplen: s.Snaplen, Opened: at, Why: s.Why})
}

// kindOf names a source by what opened it, else by convention.
func (f *infoFacts) kindOf(number uint32) string {
	for _, s := range f.Sources {
		if s.Number == number {
			return s.Kind
		}
	}
	if usual := [...]string{"recorder", "conntrack", "proc", "dns", "rdns"}; int(number) < len(usual) {
		return usual[number]
	}
	return "unknown"
}

func (f *infoFacts) finish(s *replay.Summary, last *reporter.Report) {
	for _, e := range s.Ends {
		i := slices.IndexFunc(f.Tapes, func(t infoTape) bool { return t.header == e.Header })
		if i < 0 {
			i = len(f.Tapes)
			f.Tapes = append(f.Tapes, infoTape{header: e.Header})
		}
		f.Tapes[i].Name, f.Tapes[i].Ending, f.Tapes[i].Unknown = e.Name, e.Ending.String(), e.Unknown
	}
	for i := range f.Tapes {
		f.Tapes[i].describe()
	}
	for _, k := range f.counts {
		f.Kinds = append(f.Kinds, *k)
	}
	slices.SortFunc(f.Kinds, func(a, b infoKind) int {
		if a.Source != b.Source {
			return int(int64(a.Source) - int64(b.Source))
		}
		return int(a.key.kind) - int(b.key.kind)
	})
	for _, v := range s.Faults {
		f.Faults = append(f.Faults, infoFault(v))
	}
	if last != nil {
		for _, c := range last.Coverage {
			f.Coverage = append(f.Coverage, infoCoverage{Source: c.Source, State: string(c.State), Why: c.Why, Records: c.Records,
				Lost: c.Lost, Undecodable: c.Undecodable, Ignored: c.Ignored})
		}
	}
	if s.Damage != nil {
		f.Damage = s.Damage.Error()
	}
	notNull(&f.Tapes)
	notNull(&f.Kinds)
	notNull(&f.Sources)
	notNull(&f.Gaps)
	notNull(&f.Marks)
	notNull(&f.Faults)
	notNull(&f.Coverage)
}

// notNull makes a list [] in JSON.
func notNull[T any](l *[]T) {
	if *l == nil {
		*l = []T{}
	}
}

func (t *infoTape) describe() {
	h := t.header
	t.HostID, t.HostName, t.Tool, t.Core, t.Segment = h.HostID, h.HostName, h.Tool, h.Core, h.Segment
	t.Start = time.Unix(0, h.Start).UTC().Format(time.RFC3339Nano)
	t.First, t.Last = time.Duration(t.first).String(), time.Duration(t.last).String()
	t.TapeID = fmt.Sprintf("%x", h.TapeID)
	if h.Recording != [16]byte{} {
		t.Recording = fmt.Sprintf("%x", h.Recording)
	}
	t.Format = fmt.Sprintf("%d.%d", capture.Format, h.Minor)
	t.Recorder, t.Command, t.Note = h.Recorder, h.Command, h.Note
	if h.Derived.Verb != "" {
		t.Derived = h.Derived.Verb
		if h.Derived.Parent != [16]byte{} {
			t.Derived += fmt.Sprintf(" of %x", h.Derived.Parent)
		}
	}
	if t.Ending == "" {
		t.Ending = capture.Torn.String()
	}
}
