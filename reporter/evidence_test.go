package reporter

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

// evidenceHost returns a host, and the Evidence of its records.
func evidenceHost(t *testing.T) (*host, *Evidence) {
	h := newHost(t)
	e := NewEvidence(&capture.Header{})
	h.OnRecord = e.Add
	return h, e
}

// numbers returns the numbers of the selected records.
func (e *Evidence) numbers(at int64) string {
	var out []string
	for r := range e.Records(at) {
		out = append(out, fmt.Sprint(r.Seq))
	}
	return strings.Join(out, " ")
}

func (h *host) wantEvidence(e *Evidence, want string) {
	h.T.Helper()
	if got := e.numbers(h.At); got != want {
		h.T.Errorf("records %s, want %s", got, want)
	}
}

// The first and the last message of a flow are selected until the flow was reported as closed and no
// row can show it.
func TestEvidenceOfFlows(t *testing.T) {
	h, e := evidenceHost(t)
	h.Conntrack(ctmsg.New, 7, "SYN_SENT", reportertest.Plain)       // 1
	h.Conntrack(ctmsg.Update, 7, "SYN_RECV", reportertest.Plain)    // 2
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.Plain) // 3
	h.wantEvidence(e, "1 3")
	h.Conntrack(ctmsg.Destroy, 7, "", reportertest.Plain)     // 4
	h.wantEvidence(e, "1 3 4")                                // the last message shows no state
	h.Conntrack(ctmsg.New, 7, "SYN_SENT", reportertest.Plain) // 5: the next flow
	h.wantEvidence(e, "1 3 4 5")
	h.Report() // 6
	h.wantEvidence(e, "5")
	h.WalkBegin() // 7
	h.WalkEnd()   // 8
	h.wantEvidence(e, "5 7 8")
	h.Conntrack(ctmsg.Destroy, 7, "", reportertest.Plain) // 9
	h.Report()                                            // 10
	h.wantEvidence(e, "5 7 8 9")                          // the current tables are older than the end
	h.WalkBegin()                                         // 11
	h.wantEvidence(e, "5 7 8 9 11")
	h.WalkEnd() // 12
	h.wantEvidence(e, "11 12")
	h.Dump(map[uint32]string{1: "10.0.0.5:1>10.0.0.2:80", 2: "10.0.0.6:1>10.0.0.2:80"}) // 13 to 16
	h.wantEvidence(e, "11 12 14 15")
	h.DumpBegin()                                                       // 17
	h.Conntrack(ctmsg.Dump, 1, "ESTABLISHED", "10.0.0.5:1>10.0.0.2:80") // 18
	h.wantEvidence(e, "11 12 14 15 17 18")
	h.DumpEnd() // 19
	h.wantEvidence(e, "11 12 14 18")
	h.Conntrack(ctmsg.Update, 1, "TIME_WAIT", "10.0.0.5:1>10.0.0.2:80") // 20
	h.Report()                                                          // 21
	h.wantEvidence(e, "11 12 14 20")
	h.Walk() // 22, 23
	h.wantEvidence(e, "22 23")
}

// An unchanged table is selected as it was last read, for any number of walks.
func TestEvidenceOfWalks(t *testing.T) {
	h, e := evidenceHost(t)
	unchanged := func() {
		h.Put(capture.KindProcUnchanged, 2, &capture.ProcUnchanged{Netns: 1, Table: "tcp", Checked: h.At})
	}
	h.Walk(reportertest.Socket{Netns: 1, Row: reportertest.Plain, Inode: 3, Processes: []report.Process{{PID: 1, Comm: "a"}}}) // 1 to 4
	h.wantEvidence(e, "1 2 3 4")
	h.WalkBegin() // 5
	unchanged()   // 6
	h.wantEvidence(e, "1 2 3 4 5 6")
	h.WalkEnd() // 7
	h.wantEvidence(e, "2 5 6 7")
	h.WalkBegin()                                                           // 8
	unchanged()                                                             // 9
	h.WalkEnd()                                                             // 10
	h.WalkBegin()                                                           // 11
	h.Tables(reportertest.Socket{Netns: 1, Row: reportertest.Plain})        // 12
	h.wantEvidence(e, "2 8 9 10 11 12")                                     // the last complete walk and the current one
	h.Put(capture.KindWalkEnd, 2, &capture.ProcWalk{Failed: "interrupted"}) // 13
	h.wantEvidence(e, "2 8 9 10")
	h.Walk() // 14, 15
	h.wantEvidence(e, "14 15")
	h.Tables(reportertest.Socket{Netns: 1, Row: reportertest.Plain}) // 16: outside a walk
	h.Tables(reportertest.Socket{Netns: 1, Row: reportertest.Plain}) // 17
	h.wantEvidence(e, "14 15 17")
}

// The last answer for each address is selected until it expires.
func TestEvidenceOfNames(t *testing.T) {
	h, e := evidenceHost(t)
	name := func(addr string, ttl int64, names ...string) {
		h.Put(capture.KindReverseName, 4, &capture.ReverseName{Addr: addr, Names: names, TTL: ttl})
	}
	name("10.0.0.1", 0, "a")    // 1
	name("10.0.0.2", 10e9, "b") // 2
	name("10.0.0.1", 0, "a2")   // 3
	name("10.0.0.3", 3600e9)    // 4: none
	h.wantEvidence(e, "2 3")
	h.Pass(10)
	h.wantEvidence(e, "3")
	h.Pass(1790)
	h.wantEvidence(e, "")
}

// The last records of sources and the host are selected, and every step of the clock.
func TestEvidenceOfSourcesAndHost(t *testing.T) {
	h, e := evidenceHost(t)
	open := &capture.Source{Open: true, Kind: capture.SourceConntrack}
	h.Put(capture.KindSource, 1, open)                      // 1
	h.Put(capture.KindHost, 0, &capture.Host{ID: "a"})      // 2
	h.Put(capture.KindClock, 0, &capture.Clock{Step: 1})    // 3
	h.Put(capture.KindSource, 1, &capture.Source{})         // 4
	h.Put(capture.KindSource, 1, open)                      // 5
	h.Put(capture.KindHost, 0, &capture.Host{ID: "b"})      // 6
	h.Put(capture.KindClock, 0, &capture.Clock{Step: 2})    // 7
	h.Put(capture.KindGap, 1, &capture.Gap{Lost: 1})        // 8
	h.Put(capture.KindMark, 0, &capture.Mark{Text: "x"})    // 9
	h.Put(capture.KindFault, 0, &capture.Fault{})           // 10
	h.Put(capture.KindCarry, 0, &capture.Carry{State: nil}) // 11
	h.Raw(capture.KindConntrack, 1, []byte("no message"))   // 12
	h.wantEvidence(e, "2 3 5 6 7 8")
	h.Dump(nil) // 13, 14
	h.wantEvidence(e, "2 3 5 6 7")
	records := slices.Collect(e.Records(h.At))
	if !slices.ContainsFunc(records, func(r capture.Record) bool { return bytes.Contains(r.Payload, []byte("b")) }) {
		t.Error("the payload was not copied")
	}
}
