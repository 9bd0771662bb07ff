package current

import (
	"fmt"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/source"
)

// A reply tuple of another protocol, which no kernel sends, is no translation.
func TestProtocolOfTheReplyDoesNotCount(t *testing.T) {
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

// An address that the host has on another interface as well is still its own.
func TestAddressOfTwoZonesIsKeptWithOne(t *testing.T) {
	h := newMachineHost(t)
	list := func(addrs ...string) {
		h.Put(capture.KindHost, 0, &capture.Host{Interfaces: []capture.Interface{{Addresses: addrs}}})
	}
	list("fe80::1%eth0", "fe80::1%eth1")
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", "[fe80::1]:1000>[fe80::2]:80")
	list("fe80::1%eth0")
	if r := h.Report(); len(r.Connections) != 1 || r.Connections[0].Closed {
		t.Errorf("%s", r.AppendJSON(nil))
	}
}

// Sources beyond those that are kept count as the last, with their flows.
func TestMoreSourcesThanAreKept(t *testing.T) {
	h := newMachineHost(t)
	for i := range uint32(source.Max + 50) {
		h.Send(reportertest.Message{Type: ctmsg.Update, ID: i, State: "ESTABLISHED", Source: i + 1, Tuples: fmt.Sprintf("10.0.%d.%d:1000>10.9.0.1:80", i/200, i%200)})
	}
	reportertest.CheckReport(t, h.Report())
	if n := len(h.m.sources.List); n != source.Max {
		t.Errorf("%d sources", n)
	}
}

// Endpoints are in order whatever the name of the host.
func TestEndpointsOfAnyHostAreInOrder(t *testing.T) {
	for _, id := range []string{"", "0", "9abc", ";", ";10", ";127.0.0.1", "host", "~"} {
		h := machineHostWith(t, &capture.Header{HostID: id})
		for i, tuples := range []string{"10.0.0.1:1000>10.0.0.2:80", "127.0.0.1:1000>127.0.0.1:80", "127.0.0.1:9>127.0.0.1:10", "[::1]:1000>[::1]:80", "[2001:db8::1]:9>[2001:db8::2]:80"} {
			h.Conntrack(ctmsg.Update, uint32(i), "ESTABLISHED", tuples)
		}
		h.Walk(reportertest.Socket{Netns: 7, Row: "127.0.0.1:3000>127.0.0.1:80", Inode: 3}, reportertest.Socket{Netns: 70, Row: "127.0.0.1:3000>127.0.0.1:80", Inode: 4})
		rep := h.Report()
		reportertest.CheckReport(t, rep)
		if len(rep.Endpoints) != 14 {
			t.Errorf("host %q: %d endpoints: %s", id, len(rep.Endpoints), rep.AppendJSON(nil))
		}
	}
}

// Of a host without an id, loopback has a scope in some namespaces and none in the
// unknown one, with the same addresses.
func TestLoopbackWithScopesAndWithout(t *testing.T) {
	h := machineHostWith(t, &capture.Header{})
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", "[2001:db8::1]:9>[2001:db8::2]:80")
	h.Walk(reportertest.Socket{Netns: 7, Row: "[::1]:3000>[::1]:80", Inode: 3}, reportertest.Socket{Row: "[::1]:3001>[::1]:80", Inode: 4})
	h.Conntrack(ctmsg.Update, 2, "ESTABLISHED", "[::1]:3002>[::1]:80")
	rep := h.Report()
	reportertest.CheckReport(t, rep)
	if len(rep.Connections) != 4 || len(rep.Endpoints) != 7 {
		t.Errorf("%s", rep.AppendJSON(nil))
	}
}
