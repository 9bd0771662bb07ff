package source

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
)

// conventional numbers of the sources of a tape that does not open them by
// records, as hand-written ones may not.
var conventional = [...]string{
	1: capture.SourceConntrack,
	2: capture.SourceProc,
	3: capture.SourceDNS,
	4: capture.SourceRDNS,
}

// A Source and what is known of how well it sees.
type Source struct {
	Number uint32
	Kind   string
	Netns  uint64
	closed bool
	why    string // as its source record said

	Records     uint64
	lost        uint64
	Undecodable uint64
	Ignored     uint64

	Degraded bool
	Reason   string
	GapSeq   uint64 // record of the last gap
	window   uint64 // of the last gap

	Dumping  bool
	DumpFrom uint64 // record of the dump's begin
	DumpGap  bool   // something was lost since then
}

type Sources struct {
	List      []*Source // by number
	eventsOff bool      // net.netfilter.nf_conntrack_events is 0
}

// Of returns the source that a record names.
func (ss *Sources) Of(r *capture.Record) *Source {
	s := ss.Get(r.Source)
	if s == nil {
		if len(ss.List) >= Max {
			return ss.List[len(ss.List)-1]
		}
		s = &Source{Number: r.Source}
		ss.List = append(ss.List, s)
		slices.SortFunc(ss.List, func(a, b *Source) int { return cmp.Compare(a.Number, b.Number) })
	}
	if s.Kind == "" {
		s.Kind = kindOf(r)
	}
	return s
}

// Decode decodes a record's payload and returns the record's source, which counts what
// cannot be decoded: a bad payload is never fatal.
func (ss *Sources) Decode(r *capture.Record, p capture.Payload) (s *Source, ok bool) {
	s = ss.Of(r)
	if r.Decode(p) != nil {
		s.Undecodable++
		return s, false
	}
	return s, true
}

// Observe decodes a record that describes the host, and counts it.
func (ss *Sources) Observe(r *capture.Record, p capture.Payload) (s *Source, ok bool) {
	s, ok = ss.Decode(r, p)
	s.Records++
	return s, ok
}

// HostChanged notes whether the kernel sends conntrack events.
func (ss *Sources) HostChanged(p *capture.Host) {
	for _, v := range p.Sysctls {
		if strings.HasSuffix(v.Name, "nf_conntrack_events") {
			ss.eventsOff = strings.TrimSpace(v.Value) == "0"
		}
	}
}

// Max bounds what is kept of sources; those beyond it count as the last.
const Max = 1 << 10

func kindOf(r *capture.Record) string {
	if kind := r.Kind.Source(); kind != "" {
		return kind
	}
	if int(r.Source) < len(conventional) {
		return conventional[r.Source]
	}
	return ""
}

// count is how many sources of a kind there are, several whether conntrack has
// more than one.
func (ss *Sources) count(kind string) int {
	n := 0
	for _, s := range ss.List {
		if s.Kind == kind {
			n++
		}
	}
	return n
}

func (ss *Sources) SeveralConntrack() bool { return ss.count(capture.SourceConntrack) > 1 }

// NetnsOf is the namespace that the numbered source sees, 0 when unknown.
func (ss *Sources) NetnsOf(number uint32) uint64 {
	if s := ss.Get(number); s != nil {
		return s.Netns
	}
	return 0
}

// Get is the numbered source, nil if there is none. Most often their numbers
// follow each other.
func (ss *Sources) Get(number uint32) *Source {
	if len(ss.List) == 0 {
		return nil
	}
	if at := number - ss.List[0].Number; at < uint32(len(ss.List)) && ss.List[at].Number == number {
		return ss.List[at]
	}
	at, found := slices.BinarySearchFunc(ss.List, number, func(s *Source, number uint32) int { return cmp.Compare(s.Number, number) })
	if !found {
		return nil
	}
	return ss.List[at]
}

// First is the first source of a kind, nil if there is none.
func (ss *Sources) First(kind string) *Source {
	for _, s := range ss.List {
		if s.Kind == kind {
			return s
		}
	}
	return nil
}

// Change takes over what a source record says. What ends while a source is
// closed is hidden.
func (s *Source) Change(p *capture.Source, seq uint64) {
	if p.Kind != "" {
		s.Kind = p.Kind
	}
	s.closed, s.why = !p.Open, p.Why
	if p.Open {
		s.Netns = p.Netns
	} else {
		s.Degrade("it was closed meanwhile", seq)
	}
}

func (s *Source) Gap(p *capture.Gap, seq, window uint64) {
	if s.lost += p.Lost; s.lost < p.Lost {
		s.lost = math.MaxUint64
	}
	s.window = window
	s.DumpGap = true
	reason := p.Why
	if reason == "" {
		reason = fmt.Sprintf("%d lost", p.Lost)
		if p.Lost == 0 {
			reason = "something was lost"
		}
	}
	s.Degrade(reason, seq)
}

// Hides says that in this window something of the source is not shown.
func (s *Source) DegradeWindow(reason string, seq, window uint64) {
	s.window = window
	s.Degrade(reason, seq)
}

func (s *Source) Degrade(reason string, seq uint64) {
	s.Degraded, s.Reason, s.GapSeq = true, reason, seq
}

// Hidden reports whether a gap since the record numbered seq could have hidden
// an end.
func (s *Source) Hidden(seq uint64) bool { return s != nil && s.Degraded && seq < s.GapSeq }

// Coverage lists all sources, and those of the standard kinds that the tape
// has not.
func (ss *Sources) Coverage(reported uint64, untracked string) []report.Coverage {
	var out []report.Coverage
	for _, s := range ss.List {
		if s.Kind == "" {
			continue
		}
		c := report.Coverage{
			Source: s.Kind, State: report.CoverageOK, Records: s.Records,
			Lost: s.lost, Undecodable: s.Undecodable, Ignored: s.Ignored,
		}
		var why []string
		if s.why != "" {
			why = append(why, s.why)
		}
		if s.Degraded && !s.closed && (s.Kind != capture.SourceDNS && s.Kind != capture.SourceRDNS || s.window == reported) {
			why = append(why, s.Reason)
		}
		if s.Kind == capture.SourceConntrack {
			if ss.eventsOff {
				why = append(why, "net.netfilter.nf_conntrack_events is 0: the kernel sends no events")
			}
			if untracked != "" {
				why = append(why, untracked)
			}
		}
		c.Why = strings.Join(why, "; ")
		if ss.count(s.Kind) > 1 {
			c.Netns = s.Netns
		}
		switch {
		case s.closed:
			c.State = report.CoverageOff
			if c.Why == "" {
				c.Why = "closed"
			}
		case len(why) > 0:
			c.State = report.CoverageDegraded
		}
		out = append(out, c)
	}
	for _, kind := range conventional[1:4] {
		if !slices.ContainsFunc(out, func(c report.Coverage) bool { return c.Source == kind }) {
			out = append(out, report.Coverage{Source: kind, State: report.CoverageOff, Why: "not on this tape"})
		}
	}
	slices.SortStableFunc(out, func(a, b report.Coverage) int { return strings.Compare(a.Source, b.Source) })
	return out
}

// Watched are the namespaces whose connections conntrack should know, sorted; 0 is an
// unknown one.
func (ss *Sources) ConntrackNamespaces() (out []uint64) {
	for _, s := range ss.List {
		if s.Kind == capture.SourceConntrack && !s.closed {
			out = append(out, s.Netns)
		}
	}
	slices.Sort(out)
	return out
}
