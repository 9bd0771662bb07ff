package current

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

// A reply tuple with another protocol, which no kernel sends, is no translation.
func TestProtocolOfTheReplyIsIgnored(t *testing.T) {
	h := newMachineHost(t)
	h.Walk(reportertest.Socket{Netns: 7, Row: "10.0.0.1:1000>10.0.0.2:80", Inode: 3}, reportertest.Socket{Netns: 8, Row: "10.0.0.2:80>10.0.0.1:1000", Inode: 4})
	o := reportertest.Ends("10.0.0.1:1000>10.0.0.2:80")
	m := ctmsg.Message{Type: ctmsg.Update, ID: 1, HasStatus: true, Status: ctmsg.SeenReply, HasState: true, State: ctmsg.Established,
		Orig: ctmsg.TupleOf(o.Src, o.Dst, 6), Reply: ctmsg.TupleOf(o.Dst, o.Src, 17)}
	h.Raw(capture.KindConntrack, 1, m.Append(nil, false))
	r := h.Report()
	if len(r.Connections) != 1 || len(r.Connections[0].NAT) != 0 || r.Connections[0].From.Netns != 7 || r.Connections[0].To.Netns != 8 {
		t.Errorf("%s", r.AppendJSON(nil))
	}
}

func TestClosedSource(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain)
	h.Put(capture.KindSource, 1, &capture.Source{Kind: "conntrack", Why: "permission denied"})
	r := h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original maybe")
	if c := reportertest.CoverageOf(r, "conntrack"); c.State != report.CoverageOff || c.Why != "permission denied" {
		t.Errorf("%+v", c)
	}
	h.Put(capture.KindSource, 1, &capture.Source{Kind: "conntrack", Open: true})
	if c := reportertest.CoverageOf(h.Report(), "conntrack"); c.State != report.CoverageDegraded {
		t.Errorf("%+v", c)
	}
	h.Dump(map[uint32]string{1: reportertest.Plain})
	r = h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
	if c := reportertest.CoverageOf(r, "conntrack"); c.State != report.CoverageOK {
		t.Errorf("%+v", c)
	}
}

func TestUnusableMessagesAreCounted(t *testing.T) {
	h := newMachineHost(t)
	h.Raw(capture.KindConntrack, 1, []byte("no message"))
	h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, Tuples: "10.0.0.1:40000>10.0.0.2:53", Protocol: 17})
	h.Raw(capture.KindDNS, 3, []byte{0xc1})
	h.Put(capture.KindDNS, 3, &capture.DNS{Packet: []byte{0x45, 0}})
	h.Raw(capture.KindProcNet, 2, nil)
	r := h.Want()
	for kind, want := range map[string]report.Coverage{
		"conntrack": {Records: 2, Undecodable: 1, Ignored: 1},
		"dns":       {Records: 2, Undecodable: 2},
		"proc":      {Records: 1, Undecodable: 1},
	} {
		want.Source, want.State = kind, report.CoverageOK
		if got := reportertest.CoverageOf(r, kind); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if got := reportertest.CoverageOf(newMachineHost(t).Want(), "conntrack"); got.State != report.CoverageOff {
		t.Errorf("nothing recorded: %+v", got)
	}
}
