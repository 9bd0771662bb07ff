package reporter

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
)

// conventional numbers of the sources of a tape that does not open them by
// records, as hand-written ones may not.
var conventional = [...]string{
	1: capture.SourceConntrack,
	2: capture.SourceProc,
	3: capture.SourceDNS,
	4: capture.SourceRDNS,
}

// A source and what is known of how well it sees.
type source struct {
	number uint32
	kind   string
	netns  uint64
	closed bool
	why    string // as its source record said

	records     uint64
	lost        uint64
	undecodable uint64
	ignored     uint64

	degraded bool
	reason   string
	gapSeq   uint64 // record of the last gap
	window   uint64 // of the last gap

	dumping  bool
	dumpFrom uint64 // record of the dump's begin
	dumpGap  bool   // something was lost since then
}

type sources struct {
	list      []*source // by number
	eventsOff bool      // net.netfilter.nf_conntrack_events is 0
}

// of returns the source that a record names.
func (ss *sources) of(r *capture.Record) *source {
	s := ss.get(r.Source)
	if s == nil {
		if len(ss.list) >= MaxSources {
			return ss.list[len(ss.list)-1]
		}
		s = &source{number: r.Source}
		ss.list = append(ss.list, s)
		slices.SortFunc(ss.list, func(a, b *source) int { return cmp.Compare(a.number, b.number) })
	}
	if s.kind == "" {
		s.kind = kindOf(r)
	}
	return s
}

// decode decodes a record's payload and returns the record's source, which counts what
// cannot be decoded: a bad payload is never fatal.
func (ss *sources) decode(r *capture.Record, p capture.Payload) (s *source, ok bool) {
	s = ss.of(r)
	if r.Decode(p) != nil {
		s.undecodable++
		return s, false
	}
	return s, true
}

// observe decodes a record that describes the host, and counts it.
func (ss *sources) observe(r *capture.Record, p capture.Payload) (s *source, ok bool) {
	s, ok = ss.decode(r, p)
	s.records++
	return s, ok
}

// hostChanged notes whether the kernel sends conntrack events.
func (ss *sources) hostChanged(p *capture.Host) {
	for _, v := range p.Sysctls {
		if strings.HasSuffix(v.Name, "nf_conntrack_events") {
			ss.eventsOff = strings.TrimSpace(v.Value) == "0"
		}
	}
}

// MaxSources bounds what is kept of sources; those beyond it count as the last.
const MaxSources = 1 << 10

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
func (ss *sources) count(kind string) int {
	n := 0
	for _, s := range ss.list {
		if s.kind == kind {
			n++
		}
	}
	return n
}

func (ss *sources) several() bool { return ss.count(capture.SourceConntrack) > 1 }

// netnsOf is the namespace that the numbered source sees, 0 when unknown.
func (ss *sources) netnsOf(number uint32) uint64 {
	if s := ss.get(number); s != nil {
		return s.netns
	}
	return 0
}

// get is the numbered source, nil if there is none. Most often their numbers
// follow each other.
func (ss *sources) get(number uint32) *source {
	if len(ss.list) == 0 {
		return nil
	}
	if at := number - ss.list[0].number; at < uint32(len(ss.list)) && ss.list[at].number == number {
		return ss.list[at]
	}
	at, found := slices.BinarySearchFunc(ss.list, number, func(s *source, number uint32) int { return cmp.Compare(s.number, number) })
	if !found {
		return nil
	}
	return ss.list[at]
}

// first is the first source of a kind, nil if there is none.
func (ss *sources) first(kind string) *source {
	for _, s := range ss.list {
		if s.kind == kind {
			return s
		}
	}
	return nil
}

// change takes over what a source record says. What ends while a source is
// closed is hidden.
func (s *source) change(p *capture.Source, seq uint64) {
	if p.Kind != "" {
		s.kind = p.Kind
	}
	s.closed, s.why = !p.Open, p.Why
	if p.Open {
		s.netns = p.Netns
	} else {
		s.degrade("it was closed meanwhile", seq)
	}
}

func (s *source) gap(p *capture.Gap, seq, window uint64) {
	if s.lost += p.Lost; s.lost < p.Lost {
		s.lost = math.MaxUint64
	}
	s.window = window
	s.dumpGap = true
	reason := p.Why
	if reason == "" {
		reason = fmt.Sprintf("%d lost", p.Lost)
		if p.Lost == 0 {
			reason = "something was lost"
		}
	}
	s.degrade(reason, seq)
}

// hides says that in this window something of the source is not shown.
func (s *source) hides(reason string, seq, window uint64) {
	s.window = window
	s.degrade(reason, seq)
}

func (s *source) degrade(reason string, seq uint64) {
	s.degraded, s.reason, s.gapSeq = true, reason, seq
}

// hidden reports whether a gap since the record numbered seq could have hidden
// an end.
func (s *source) hidden(seq uint64) bool { return s != nil && s.degraded && seq < s.gapSeq }

// coverage lists all sources, and those of the standard kinds that the tape
// has not.
func (ss *sources) coverage(reported uint64, untracked string) []Coverage {
	var out []Coverage
	for _, s := range ss.list {
		if s.kind == "" {
			continue
		}
		c := Coverage{
			Source: s.kind, State: CoverageOK, Records: s.records,
			Lost: s.lost, Undecodable: s.undecodable, Ignored: s.ignored,
		}
		var why []string
		if s.why != "" {
			why = append(why, s.why)
		}
		if s.degraded && !s.closed && (s.kind != capture.SourceDNS && s.kind != capture.SourceRDNS || s.window == reported) {
			why = append(why, s.reason)
		}
		if s.kind == capture.SourceConntrack {
			if ss.eventsOff {
				why = append(why, "net.netfilter.nf_conntrack_events is 0: the kernel sends no events")
			}
			if untracked != "" {
				why = append(why, untracked)
			}
		}
		c.Why = strings.Join(why, "; ")
		if ss.count(s.kind) > 1 {
			c.Netns = s.netns
		}
		switch {
		case s.closed:
			c.State = CoverageOff
			if c.Why == "" {
				c.Why = "closed"
			}
		case len(why) > 0:
			c.State = CoverageDegraded
		}
		out = append(out, c)
	}
	for _, kind := range conventional[1:4] {
		if !slices.ContainsFunc(out, func(c Coverage) bool { return c.Source == kind }) {
			out = append(out, Coverage{Source: kind, State: CoverageOff, Why: "not on this tape"})
		}
	}
	slices.SortStableFunc(out, func(a, b Coverage) int { return strings.Compare(a.Source, b.Source) })
	return out
}

// watched are the namespaces whose connections conntrack should know, sorted; 0 is an
// unknown one.
func (ss *sources) watched() (out []uint64) {
	for _, s := range ss.list {
		if s.kind == capture.SourceConntrack && !s.closed {
			out = append(out, s.netns)
		}
	}
	slices.Sort(out)
	return out
}
