package reporter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

// counters sends a counters record of a namespace, after a number of seconds.
func (h *host) counters(after float64, netns uint64, files ...capture.CounterFile) {
	h.Pass(after).Put(capture.KindCounters, 0, &capture.Counters{Netns: netns, Files: files})
}

func snmp(active, passive int) capture.CounterFile {
	return textFile("/proc/net/snmp", fmt.Sprintf("Tcp: ActiveOpens PassiveOpens\nTcp: %d %d\n", active, passive))
}

func drops(n int) capture.CounterFile {
	return textFile("/proc/net/stat/nf_conntrack", fmt.Sprintf("entries drop\n00000000 %08x\n", n))
}

func eventsAre(text string) capture.CounterFile {
	return textFile("/proc/sys/net/netfilter/nf_conntrack_events", text)
}

func textFile(name, text string) capture.CounterFile {
	return capture.CounterFile{Name: name, Text: []byte(text)}
}

// wantConntrack sends a tick and compares the state of conntrack and what the reason contains.
func (h *host) wantConntrack(state report.CoverageState, why string) {
	h.T.Helper()
	c := reportertest.CoverageOf(h.Report(), capture.SourceConntrack)
	if c.State != state || !strings.Contains(c.Why, why) || why == "" && c.Why != "" {
		h.T.Errorf("tick %d: conntrack %s %q, want %s %q", h.Tick, c.State, c.Why, state, why)
	}
}

// Events of the host are in the report of their window under all rules, at the wall-clock time, once.
func TestHostEventsAreReportedOnce(t *testing.T) {
	for _, rules := range []string{RulesCurrent, RulesScope2016} {
		h := newHostWith(t, &capture.Header{Start: 100e9}, rules)
		h.counters(0, 1, drops(5))
		if e := h.Pass(1).Report().HostEvents; e != nil {
			t.Errorf("%s: the first record shows %v", rules, e)
		}
		h.counters(1, 1, drops(7))
		h.Put(capture.KindClock, 0, &capture.Clock{Step: 50e9})
		h.Put(capture.KindStall, 0, &capture.Stall{Duration: 1e9})
		h.counters(1, 1, drops(217))
		h.Raw(capture.KindCounters, 0, []byte{0xc1}) // ignored
		h.Raw(capture.KindStall, 0, nil)
		got := fmt.Sprint(h.Report().HostEvents)
		if want := fmt.Sprint([]report.HostEvent{{At: 152e9, What: "recorder stall", Count: 1}, {At: 153e9, What: "nf_conntrack drop", Count: 212}}); got != want {
			t.Errorf("%s: %s, want %s", rules, got, want)
		}
		if e := h.Pass(1).Report().HostEvents; e != nil {
			t.Errorf("%s: the next report repeats %v", rules, e)
		}
	}
}

// The digest of the coverage covers the events of the host. Without events it is that of the
// coverage alone.
func TestDigestCoversHostEvents(t *testing.T) {
	a, b := &report.Report{}, &report.Report{}
	if a.HostEvents = []report.HostEvent{}; a.Digests() != b.Digests() {
		t.Error("no events have a digest")
	}
	a.HostEvents = []report.HostEvent{{What: "x", Count: 1}}
	b.HostEvents = []report.HostEvent{{What: "x", Count: 2}}
	if x, y := a.Digests(), b.Digests(); x.Coverage == y.Coverage || x.Coverage == new(report.Report).Digests().Coverage || x.Endpoints != y.Endpoints {
		t.Errorf("%+v, %+v", x, y)
	}
}

// Conntrack is degraded if the kernel opened many connections of which conntrack showed few, and
// nothing else explains that.
func TestConntrackThatSeesNothing(t *testing.T) {
	const text = "TCP connections were opened and conntrack saw"
	for name, test := range map[string]struct {
		then func(h *host)
		why  string
	}{
		"nothing":                      {func(h *host) {}, "3999 " + text + " 0: no rule asks for tracking, or something bypasses it; add a rule"},
		"half of them":                 {func(h *host) { h.news(2000) }, ""},
		"less than half":               {func(h *host) { h.news(1999) }, "3999 " + text + " 1999"},
		"a dump with half of them":     {func(h *host) { h.dumpOf(2000) }, ""},
		"a gap":                        {func(h *host) { h.Put(capture.KindGap, 1, &capture.Gap{Lost: 7, Why: "full"}) }, "full"},
		"a gap and a dump":             {func(h *host) { h.Put(capture.KindGap, 1, &capture.Gap{Lost: 7}); h.dumpOf(0) }, ""},
		"no events":                    {func(h *host) { h.counters(0, 7, eventsAre("0\n")) }, "nf_conntrack_events is 0: the kernel sends no events"},
		"the source was opened again":  {func(h *host) { h.open(7) }, ""},
		"the source is in another one": {func(h *host) { h.open(8) }, ""},
		"a second source": {func(h *host) {
			h.Put(capture.KindSource, 9, &capture.Source{Open: true, Kind: capture.SourceConntrack, Netns: 9})
		}, "3999 " + text},
		"updates of other connections": {func(h *host) { h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain) }, "3999 " + text + " 0"},
		"events of UDP": {func(h *host) {
			h.Send(reportertest.Message{Type: ctmsg.New, ID: 1, Tuples: reportertest.Plain, Protocol: 17})
		}, "3999 " + text + " 0"},
		"the counters went back": {func(h *host) { h.counters(0, 7, snmp(2000, 0)); h.counters(0, 7, snmp(3, 0)) }, "5996 " + text},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.open(7)
			h.counters(1, 7, snmp(100, 50))
			h.wantConntrack(report.CoverageOK, "")
			test.then(h)
			h.counters(3, 7, snmp(4099, 50))
			want := report.CoverageDegraded
			if test.why == "" {
				want = report.CoverageOK
			}
			h.wantConntrack(want, test.why)
			if h.Pass(3); test.why == "full" || strings.Contains(name, "no events") {
				return
			}
			h.wantConntrack(report.CoverageOK, "") // nothing was opened in this window
		})
	}
}

func (h *host) open(netns uint64) {
	h.Put(capture.KindSource, 1, &capture.Source{Open: true, Kind: capture.SourceConntrack, Netns: netns})
}

func (h *host) news(n int) {
	for i := range n {
		h.Conntrack(ctmsg.New, uint32(i), "SYN_SENT", fmt.Sprintf("10.0.0.1:%d>10.0.0.2:80", 1024+i))
	}
}

func (h *host) dumpOf(n int) {
	entries := map[uint32]string{}
	for i := range n {
		entries[uint32(i)] = fmt.Sprintf("10.0.0.1:%d>10.0.0.2:80", 1024+i)
	}
	h.Dump(entries)
}

// Sockets without an entry and opened connections are one reason, not two.
func TestOneReasonForUnseenConnections(t *testing.T) {
	h := newHost(t)
	h.open(7)
	h.counters(0, 7, snmp(0, 0))
	h.Walk(reportertest.Socket{Netns: 7, Row: reportertest.Plain, Inode: 3})
	h.counters(3, 7, snmp(100, 0))
	why := reportertest.CoverageOf(h.Report(), capture.SourceConntrack).Why
	if !strings.HasPrefix(why, "1 of 1 established sockets") || strings.Contains(why, ";") {
		t.Error(why)
	}
}

// A reason that the recorder gave is not repeated in other words.
func TestReasonOfTheRecorderIsEnough(t *testing.T) {
	h := newHost(t)
	h.Put(capture.KindSource, 1, &capture.Source{Open: true, Kind: capture.SourceConntrack, Netns: 7, Why: "no rule"})
	h.counters(0, 7, snmp(0, 0))
	h.counters(3, 7, snmp(100, 0))
	if why := reportertest.CoverageOf(h.Report(), capture.SourceConntrack).Why; why != "no rule" {
		t.Error(why)
	}
}

// Any text of the setting but 0 means that the kernel sends events; no text means nothing.
func TestEventsSettingOfCounters(t *testing.T) {
	h := newHost(t)
	h.open(7)
	h.counters(0, 7, eventsAre("2\n"))
	h.wantConntrack(report.CoverageOK, "")
	h.counters(0, 8, eventsAre("0\n")) // of another namespace
	h.wantConntrack(report.CoverageOK, "")
	h.counters(0, 7, eventsAre("0\n"))
	h.wantConntrack(report.CoverageDegraded, "is 0")
	h.counters(0, 7, eventsAre(""))
	h.counters(0, 7, drops(1))
	h.wantConntrack(report.CoverageDegraded, "is 0")
	h.Dump(nil)
	h.wantConntrack(report.CoverageDegraded, "is 0")
	h.counters(0, 7, eventsAre("1\n"))
	h.wantConntrack(report.CoverageDegraded, "was 0")
	h.Put(capture.KindGap, 1, &capture.Gap{Why: "off", Since: 3_000_400_000})
	h.wantConntrack(report.CoverageDegraded, "off, since +3s")
	h.Dump(nil)
	h.wantConntrack(report.CoverageOK, "")
}

// The last record of each file is selected, and a stall until a walk that began later is complete.
func TestEvidenceOfCounters(t *testing.T) {
	h, e := evidenceHost(t)
	all := func(n int, netns uint64) {
		h.counters(0, netns, drops(n), snmp(n, n), eventsAre("1\n"))
	}
	all(1, 1)                    // 1
	h.counters(0, 1, drops(2))   // 2
	h.counters(0, 1, drops(3))   // 3
	h.counters(0, 1, snmp(9, 9)) // 4
	all(1, 2)                    // 5
	h.wantEvidence(e, "1 3 4 5")
	h.counters(0, 1, eventsAre("0\n")) // 6
	h.wantEvidence(e, "3 4 5 6")
	h.WalkBegin()                                               // 7
	h.Put(capture.KindStall, 0, &capture.Stall{Duration: 12e9}) // 8
	h.WalkEnd()                                                 // 9
	h.wantEvidence(e, "3 4 5 6 7 8 9")
	h.Walk() // 10, 11
	h.wantEvidence(e, "3 4 5 6 10 11")
}

// A core that reads evidence instead of a carry record does not report again what happened before
// its first window.
func TestEvidenceOfCountersShowsNoOldEvents(t *testing.T) {
	h, e := evidenceHost(t)
	h.open(7)
	h.counters(0, 7, drops(1), snmp(0, 0), textFile("/proc/net/netstat", ""))
	h.Pass(3).Report()
	h.counters(1, 7, drops(9))
	h.counters(0, 7, snmp(5000, 0))
	h.Put(capture.KindStall, 0, &capture.Stall{Duration: 12e9})
	h.Pass(2).Report()
	cut := newHost(t)
	for r := range e.Records(h.At) {
		cut.r.Step(&r)
	}
	cut.At, cut.Seq = h.At, h.Seq
	cut.counters(1, 7, drops(12))
	cut.Pass(2)
	r := cut.Report()
	if got := fmt.Sprint(r.HostEvents); got != fmt.Sprint([]report.HostEvent{{At: 7e9, What: "nf_conntrack drop", Count: 11}}) {
		t.Errorf("events %s", got)
	}
	if c := reportertest.CoverageOf(r, capture.SourceConntrack); c.State != report.CoverageOK {
		t.Errorf("conntrack %+v", c)
	}
}

// Evidence of counters is bounded for any number of files and sizes of records.
func TestEvidenceOfCountersIsBounded(t *testing.T) {
	h, e := evidenceHost(t)
	for i := range 300 {
		h.counters(0, uint64(i), textFile("/proc/net/snmp", strings.Repeat("x", i<<12)), textFile(strings.Repeat("n", i), ""))
	}
	size := 0
	for r := range e.Records(0) {
		size += len(r.Payload)
	}
	if size > maxCounterBytes || len(e.counters.last) > maxCounterFiles {
		t.Errorf("%d files, %d bytes", len(e.counters.last), size)
	}
}
