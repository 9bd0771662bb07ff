package current

import (
	"net/netip"
	"testing"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/reportertest"
)

// A report is sorted, for any addresses in the state that was read.
func TestCarriedAddressesKeepTheOrder(t *testing.T) {
	h := newMachineHost(t)
	h.Walk(reportertest.Socket{Netns: 7, Row: "10.0.0.1:1000>10.0.0.2:80", Inode: 3})
	h.Pass(1).Conntrack(ctmsg.Update, 1, "ESTABLISHED", "10.0.0.1:1000>10.0.0.2:80")
	h.Pass(1).Conntrack(ctmsg.Update, 2, "ESTABLISHED", "10.0.0.5:1000>10.0.0.2:80")
	h.Pass(1).Conntrack(ctmsg.Destroy, 1, "", "10.0.0.1:1000>10.0.0.2:80")
	h.Pass(1).Walk()
	kept := 0
	for _, f := range h.m.flows.all {
		if f.sides != nil {
			f.sides[0].addr = netip.MustParseAddrPort("200.0.0.1:1")
			kept++
		}
	}
	heir, accepted := restored(t, h)
	if r := heir.Report(); !accepted || kept != 1 || len(r.Connections) != 2 {
		t.Errorf("accepted %v, kept %d: %s", accepted, kept, r.AppendJSON(nil))
	} else {
		reportertest.CheckReport(t, r)
	}
}

// A state with an address that no row can have is not accepted.
func TestCarriedEndsArePlain(t *testing.T) {
	for _, addr := range []string{"[fe80::1%a]:1", "[::ffff:1.2.3.4]:1", "9.9.9.9:1"} {
		h := newMachineHost(t)
		h.Walk(reportertest.Socket{Netns: 7, Row: "10.0.0.1:1000>10.0.0.2:80", Inode: 3})
		h.Pass(1).Walk()
		closed := h.m.sockets.closed
		closed[0].conn.From.Addr = netip.MustParseAddrPort(addr)
		heir, accepted := restored(t, h)
		if accepted != (addr == "9.9.9.9:1") {
			t.Errorf("%s: accepted %v", addr, accepted)
		}
		reportertest.CheckReport(t, heir.Report())
	}
}
