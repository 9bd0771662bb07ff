package source

import (
	"cmp"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/sockdiag"
)

// A Source is one source of records, and how completely it saw the host.
type Source struct {
	Status
	Number uint32
	Netns  uint64 // inode of the namespace that it sees, 0 if unknown

	// Totals since the recording's start, as in report.Coverage.
	Records     uint64
	Undecodable uint64
	Ignored     uint64

	// Flows counts the TCP flows that NEW messages and entries of dumps of the conntrack table
	// showed since the last counters record with opened connections.
	Flows       uint64
	opens       opens
	interrupted bool // a gap or a change of the source came since then

	window uint64 // in which it was last degraded by a gap or by DegradeWindow
	GapSeq uint64 // number of the record that last degraded it, 0 for none

	Dumping  bool   // a dump of the conntrack table has begun and not ended
	DumpFrom uint64 // number of the record that began the last dump
	dumpGap  bool   // a gap came since then
}

// Sources are the sources of a tape.
type Sources struct {
	List      []*Source // by number
	eventsOff bool      // net.netfilter.nf_conntrack_events is 0
	counters  Counters
	events    hostEvents
}

// Of returns the source that a record names. It adds the source if it is new. At most Max
// sources are kept: records of further ones count for the last.
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

// Decode decodes a record's payload and returns the record's source. A payload that cannot
// be decoded is counted, and is no error.
func (ss *Sources) Decode(r *capture.Record, p capture.Payload) (s *Source, ok bool) {
	s = ss.Of(r)
	if r.Decode(p) != nil {
		s.Undecodable++
		return s, false
	}
	return s, true
}

// Observe decodes a record as Decode does, and counts it in Records.
func (ss *Sources) Observe(r *capture.Record, p capture.Payload) (s *Source, ok bool) {
	s, ok = ss.Decode(r, p)
	s.Records++
	return s, ok
}

// SocketClose counts a message about a closed socket. No rules use it.
func (ss *Sources) SocketClose(r *capture.Record, bigEndian bool) {
	s := ss.Of(r)
	s.Records++
	var c sockdiag.Close
	if c.Decode(r.Payload, bigEndian) != nil {
		s.Undecodable++
	}
}

// HostChanged applies a host record: it may show whether the kernel sends conntrack events.
func (ss *Sources) HostChanged(p *capture.Host) {
	if off, known := EventsOff(p); known {
		ss.eventsOff = off
	}
}

// Max is how many sources are kept at most.
const Max = 1 << 10

// kindOf returns the kind of a record's source, "" if it is unknown. The recorder, number 0,
// is no source.
func kindOf(r *capture.Record) string {
	if kind := r.Kind.Source(); kind != "" || r.Source == 0 {
		return kind
	}
	return capture.UsualSource(r.Source)
}

// count returns how many sources of a kind there are.
func (ss *Sources) count(kind string) int {
	n := 0
	for _, s := range ss.List {
		if s.Kind == kind {
			n++
		}
	}
	return n
}

// SeveralConntrack reports whether conntrack has more than one source.
func (ss *Sources) SeveralConntrack() bool { return ss.count(capture.SourceConntrack) > 1 }

// NetnsOf returns the namespace that the numbered source sees, 0 if it is unknown.
func (ss *Sources) NetnsOf(number uint32) uint64 {
	if s := ss.Get(number); s != nil {
		return s.Netns
	}
	return 0
}

// Get returns the source with a number, nil if there is none. It is fast if the numbers are
// consecutive, as a recorder gives them.
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

// First returns the source of a kind that has the lowest number, nil if there is none.
func (ss *Sources) First(kind string) *Source {
	for _, s := range ss.List {
		if s.Kind == kind {
			return s
		}
	}
	return nil
}

// Change applies the source record numbered seq. A closed source is degraded: it does not
// see the connections that end until it is open again.
func (s *Source) Change(p *capture.Source, seq uint64) {
	s.Status.Change(p)
	s.interrupted = true
	if p.Open {
		s.Netns = p.Netns
	} else {
		s.GapSeq = seq
	}
}

// Gap applies a gap record of the window.
func (s *Source) Gap(p *capture.Gap, seq, window uint64) {
	s.Status.Gap(p)
	s.GapSeq, s.window, s.dumpGap, s.interrupted = seq, window, true, true
}

// DegradeWindow degrades a source that is complete again in the next window, as the
// sources of names are.
func (s *Source) DegradeWindow(reason string, seq, window uint64) {
	s.window = window
	s.Degrade(reason, seq)
}

// Degrade marks the source as incomplete since the record numbered seq, until Recover.
func (s *Source) Degrade(reason string, seq uint64) {
	s.Missing, s.GapSeq = reason, seq
}

// Recover marks the source as complete.
func (s *Source) Recover() { s.Missing = "" }

// BeginDump begins a dump of the conntrack table. The number of its first record becomes
// DumpFrom.
func (s *Source) BeginDump(seq uint64) { s.Dumping, s.DumpFrom, s.dumpGap = true, seq, false }

// EndDump ends a dump. A complete dump shows the whole table, and the source recovers; a
// dump that failed or was interrupted by a gap is not complete.
func (s *Source) EndDump(failed bool) (complete bool) {
	complete = s.Dumping && !s.dumpGap && !failed
	s.Dumping = false
	if complete {
		s.Recover()
	}
	return complete
}

// Hidden reports whether a gap since the record numbered seq could have hidden the end of
// a connection.
func (s *Source) Hidden(seq uint64) bool { return s != nil && s.Missing != "" && seq < s.GapSeq }

// Coverage lists the coverage of all sources in the last tick's window and, as off, of the usual
// kinds that the tape lacks. Names that were lost degrade only the reported window. untracked is a
// reason why conntrack does not see all connections, or empty. elsewhere is what conntrack is not
// expected to see, or empty: it is only mentioned.
func (ss *Sources) Coverage(t *Ticks, untracked, elsewhere string) []report.Coverage {
	var out []report.Coverage
	for _, s := range ss.List {
		if s.Kind == "" {
			continue
		}
		c := report.Coverage{Source: s.Kind, Records: s.Records, Lost: s.Lost, Undecodable: s.Undecodable, Ignored: s.Ignored}
		c.State, c.Why = s.stateIn(t, ss.eventsOff, untracked)
		if s.Kind == capture.SourceConntrack && c.State == report.CoverageOK {
			c.Why, elsewhere = elsewhere, ""
		}
		if s.Kind == capture.SourceSockets && c.State == report.CoverageOK {
			c.Why = noUDPEvents
		}
		if ss.count(s.Kind) > 1 {
			c.Netns = s.Netns
		}
		out = append(out, c)
	}
	for _, kind := range StandardKinds() {
		if !slices.ContainsFunc(out, func(c report.Coverage) bool { return c.Source == kind }) {
			out = append(out, report.Coverage{Source: kind, State: report.CoverageOff, Why: "not on this tape"})
		}
	}
	slices.SortStableFunc(out, func(a, b report.Coverage) int { return strings.Compare(a.Source, b.Source) })
	return out
}

// noUDPEvents is what the source of socket events is not expected to see.
const noUDPEvents = "TCP only: the processes of UDP sockets are those that proc shows"

// stateIn returns the state of the source in the last tick's window, and why it is not ok.
func (s *Source) stateIn(t *Ticks, eventsOff bool, untracked string) (report.CoverageState, string) {
	status := s.Status
	if s.RepairedByReport() && s.window != t.Window-1 {
		status.Missing = ""
	}
	switch {
	case s.Kind != capture.SourceConntrack:
		return status.State()
	case eventsOff:
		return status.State(NoEvents, untracked)
	case untracked == "" && status.Missing == "" && status.Reason == "": // one reason is enough
		untracked = s.unseen(t)
	}
	return status.State(untracked)
}

// ConntrackNamespaces returns the namespaces of the open conntrack sources, sorted; 0 is an
// unknown one.
func (ss *Sources) ConntrackNamespaces() (out []uint64) {
	for _, s := range ss.List {
		if s.Kind == capture.SourceConntrack && !s.Closed {
			out = append(out, s.Netns)
		}
	}
	slices.Sort(out)
	return out
}
