package current

import (
	"fmt"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/source"
)

// An address that one of two interfaces loses is still an address of the host.
func TestAddressOfTwoInterfaces(t *testing.T) {
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

// Records of sources beyond source.Max count for the last source.
func TestMoreThanMaxSources(t *testing.T) {
	h := newMachineHost(t)
	for i := range uint32(source.Max + 50) {
		h.Send(reportertest.Message{Type: ctmsg.Update, ID: i, State: "ESTABLISHED", Source: i + 1, Tuples: fmt.Sprintf("10.0.%d.%d:1000>10.9.0.1:80", i/200, i%200)})
	}
	reportertest.CheckReport(t, h.Report())
	if n := len(h.m.sources.List); n != source.Max {
		t.Errorf("%d sources", n)
	}
}

func TestCoverageCrossCheck(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain)
	h.Walk(reportertest.Socket{Netns: 1, Row: reportertest.Plain}, reportertest.Socket{Netns: 1, Row: "10.0.0.9:4000>10.0.0.2:81"})
	if c := reportertest.CoverageOf(h.Report(), "conntrack"); c.State != report.CoverageOK {
		t.Errorf("half of the sockets tracked: %+v", c)
	}
	h.Walk(reportertest.Socket{Netns: 1, Row: reportertest.Plain}, reportertest.Socket{Netns: 1, Row: "10.0.0.9:4000>10.0.0.2:81"}, reportertest.Socket{Netns: 1, Row: "10.0.0.9:4001>10.0.0.2:81"})
	if c := reportertest.CoverageOf(h.Report(), "conntrack"); c.State != report.CoverageDegraded || c.Why == "" {
		t.Errorf("a third of the sockets tracked: %+v", c)
	}
	h.Put(capture.KindSource, 1, &capture.Source{Open: true, Kind: "conntrack", Netns: 5})
	if c := reportertest.CoverageOf(h.Report(), "conntrack"); c.State != report.CoverageOK {
		t.Errorf("it watches another namespace: %+v", c)
	}
	h.Put(capture.KindHost, 0, &capture.Host{Sysctls: []capture.Sysctl{{Name: "net.netfilter.nf_conntrack_events", Value: "0\n"}}})
	if c := reportertest.CoverageOf(h.Report(), "conntrack"); c.State != report.CoverageDegraded {
		t.Errorf("events are off: %+v", c)
	}
}

func TestAddressGone(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain)
	with := &capture.Host{Interfaces: []capture.Interface{{Name: "eth0", Addresses: []string{"10.0.0.1/24"}}}}
	h.Put(capture.KindHost, 0, with)
	h.Put(capture.KindHost, 0, with)
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
	h.Put(capture.KindHost, 0, &capture.Host{Interfaces: []capture.Interface{{Name: "eth0", Addresses: []string{"10.0.0.7/24"}}}})
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original closed")
}
