package reporter

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

func TestCanonicalJSON(t *testing.T) {
	const want = `{"host":{"id":"host1","name":"host1"},"tick":1,"at":"2026-01-02T03:04:08Z","window":"3s","rules":"current",` +
		`"coverage":[{"source":"conntrack","state":"ok","why":"","records":1,"lost":0,"undecodable":0,"ignored":0},` +
		`{"source":"dns","state":"off","why":"not on this tape","records":0,"lost":0,"undecodable":0,"ignored":0},` +
		`{"source":"proc","state":"ok","why":"","records":2,"lost":0,"undecodable":0,"ignored":0},` +
		`{"source":"rdns","state":"ok","why":"","records":1,"lost":0,"undecodable":0,"ignored":0}],` +
		`"connections":[{"proto":"tcp","from":{"addr":"10.0.0.1","port":40000,"netns":4026531992,"processes":[{"pid":100,"comm":"c\"<ur>\u0001` + "\uFFFD" + `"}]},` +
		`"to":{"addr":"172.17.0.2","port":8080,"netns":0,"processes":[]},"state":"ESTABLISHED","direction":"handshake",` +
		`"nat":[{"original":{"src":"10.0.0.1:40000","dst":"10.0.0.80:80"},"reply":{"src":"172.17.0.2:8080","dst":"10.0.0.1:40000"}}],` +
		`"first_seen":"0s","last_seen":"2.5s","closed":false,"seen":["conntrack","proc"]}],` +
		`"endpoints":[{"id":";10.0.0.1;40000","addr":"10.0.0.1","port":40000,"aliases":[],"processes":[{"pid":100,"comm":"c\"<ur>\u0001` + "\uFFFD" + `"}]},` +
		`{"id":";172.17.0.2;8080","addr":"172.17.0.2","port":8080,"aliases":["10.0.0.80:80"],"processes":[]}],` +
		`"names":[{"addr":"172.17.0.2","forward":[],"reverse":["db.internal"]}]}`
	h := newHostWith(t, &capture.Header{HostID: "host1", HostName: "host1", Start: 1767323045e9}, "")
	h.Send(reportertest.Message{Type: ctmsg.Update, ID: 7, State: "ESTABLISHED", Flags: 3, Tuples: reportertest.DNAT})
	h.Put(capture.KindReverseName, 4, &capture.ReverseName{Addr: "172.17.0.2", Names: []string{"db.internal"}, TTL: 60e9})
	h.Pass(2.5).Walk(reportertest.Socket{Netns: 4026531992, Row: "10.0.0.1:40000>10.0.0.80:80", Inode: 9, Processes: []report.Process{{PID: 100, Comm: "c\"<ur>\x01\xff"}}})
	got := string(h.Pass(.5).Report().AppendJSON(nil))
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var any map[string]any
	if err := json.Unmarshal([]byte(got), &any); err != nil {
		t.Error(err)
	}
}

func TestDigestsShowWhatDiffers(t *testing.T) {
	base := func() *report.Report {
		return &report.Report{Coverage: []report.Coverage{{Source: "dns"}}, Names: []report.Names{{Addr: netip.MustParseAddr("10.0.0.1")}},
			Connections: []report.Connection{{Proto: "tcp", From: report.End{Addr: netip.MustParseAddrPort("10.0.0.1:1")}, To: report.End{Addr: netip.MustParseAddrPort("10.0.0.2:2")}}},
			Endpoints:   []report.Endpoint{{Scope: "x"}}}
	}
	a := base().Digests()
	if a != base().Digests() {
		t.Error("equal reports have different digests")
	}
	c := base()
	c.Connections[0].Closed = true
	d := c.Digests()
	for i := range d.Connections {
		if (d.Connections[i] != a.Connections[i]) != (i == c.Connections[0].Bucket()) {
			t.Errorf("a connection in bucket %d changed: digest of bucket %d", c.Connections[0].Bucket(), i)
		}
	}
	if d.Coverage != a.Coverage || d.Names != a.Names || d.Endpoints != a.Endpoints {
		t.Error("another section changed")
	}
	c = base()
	c.Coverage[0].Lost++
	c.Names[0].Forward = []string{"x"}
	c.Endpoints[0].Scope = "y"
	d = c.Digests()
	if d.Coverage == a.Coverage || d.Names == a.Names || d.Endpoints == a.Endpoints || d.Connections != a.Connections {
		t.Error("a changed section has the same digest, or the connections have another one")
	}
}
