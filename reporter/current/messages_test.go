package current

import (
	"fmt"
	"slices"
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

// A status that only established flows have proves an established past if there is no state.
func TestStatusProvesAnEstablishedPast(t *testing.T) {
	const assured, off, hardware = ctmsg.Assured, ctmsg.Offload, ctmsg.Offload | ctmsg.HWOffload
	const open, closed = "10.0.0.1:40000 -> 10.0.0.2:80 %s original", "10.0.0.1:40000 -> 10.0.0.2:80 %s original closed"
	for name, c := range map[string]struct {
		message reportertest.Message
		want    string // "" if there is no connection
		state   string
	}{
		"entry, assured":               {reportertest.Message{Type: ctmsg.Dump, Status: assured}, open, ""},
		"entry, offloaded":             {reportertest.Message{Type: ctmsg.Dump, Status: off}, open, "OFFLOAD"},
		"entry, offloaded to hardware": {reportertest.Message{Type: ctmsg.Dump, Status: hardware | assured}, open, "HW_OFFLOAD"},
		"entry, only in hardware":      {reportertest.Message{Type: ctmsg.Dump, Status: ctmsg.HWOffload}, open, "HW_OFFLOAD"},
		"entry, neither":               {reportertest.Message{Type: ctmsg.Dump}, "", ""},
		"entry, no reply":              {reportertest.Message{Type: ctmsg.Dump, Status: assured, Unseen: true}, "", ""},
		"entry, offloaded with state":  {reportertest.Message{Type: ctmsg.Dump, Status: hardware, State: "FIN_WAIT"}, open, "FIN_WAIT"},
		"entry, assured SYN_RECV":      {reportertest.Message{Type: ctmsg.Dump, Status: assured, State: "SYN_RECV"}, "", ""},
		"entry, assured CLOSE":         {reportertest.Message{Type: ctmsg.Dump, Status: assured, State: "CLOSE"}, "", ""},
		"update, assured":              {reportertest.Message{Type: ctmsg.Update, Status: assured}, open, ""},
		"end, assured":                 {reportertest.Message{Type: ctmsg.Destroy, Status: assured}, closed, ""},
		"end, offloaded":               {reportertest.Message{Type: ctmsg.Destroy, Status: off}, closed, "OFFLOAD"},
		"end, neither":                 {reportertest.Message{Type: ctmsg.Destroy}, "", ""},
		"end, no reply":                {reportertest.Message{Type: ctmsg.Destroy, Status: assured, Unseen: true}, "", ""},
		"end, assured CLOSE":           {reportertest.Message{Type: ctmsg.Destroy, Status: assured, State: "CLOSE"}, closed, "CLOSE"},
		"end, refused":                 {reportertest.Message{Type: ctmsg.Destroy, State: "CLOSE"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newMachineHost(t)
			c.message.ID, c.message.Tuples = 1, reportertest.Plain
			h.Send(c.message)
			if c.want == "" {
				h.Want()
				return
			}
			h.Want(fmt.Sprintf(c.want, c.state))
			if c.want == closed {
				h.Want() // it is reported once
			}
		})
	}
}

// The end of a flow of which only the first packet was seen proves that it was established.
func TestOnlyTheBeginAndTheEndAreSeen(t *testing.T) {
	h := newMachineHost(t)
	for id, status := range []ctmsg.Status{ctmsg.Assured, 0} {
		h.Send(reportertest.Message{Type: ctmsg.New, ID: uint32(id), State: "SYN_SENT", Tuples: reportertest.DNAT})
		h.Want()
		h.Pass(60).Send(reportertest.Message{Type: ctmsg.Destroy, ID: uint32(id), Status: status, Tuples: reportertest.DNAT})
		if status == 0 { // refused, or never answered
			h.Want()
			continue
		}
		h.Want("10.0.0.1:40000 -> 172.17.0.2:8080  handshake nat1 closed")
		h.Want()
	}
}

// The state of a flow is that of the last message that shows one, or that the flow is offloaded.
func TestOffloadIsAState(t *testing.T) {
	h := newMachineHost(t)
	line := func(state string) string { return "10.0.0.1:40000 -> 10.0.0.2:80 " + state + " original" }
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", reportertest.Plain)
	h.Want(line("ESTABLISHED"))
	h.Put(capture.KindGap, 1, &capture.Gap{Lost: 1})
	h.Want(line("ESTABLISHED") + " maybe")
	h.DumpBegin()
	h.Send(reportertest.Message{Type: ctmsg.Dump, ID: 1, Status: ctmsg.Offload, Tuples: reportertest.Plain})
	h.DumpEnd()
	h.Want(line("OFFLOAD"))
	h.Conntrack(ctmsg.Update, 1, "", reportertest.Plain) // another mark, for example
	h.Want(line("OFFLOAD"))
	h.Conntrack(ctmsg.Update, 1, "CLOSE_WAIT", reportertest.Plain)
	h.Want(line("CLOSE_WAIT"))
}

// zones returns the zones of a report's connections and, after a bar, of their translations.
func zones(r *report.Report) (out []string) {
	for i := range r.Connections {
		text := fmt.Sprint(r.Connections[i].Zone)
		for _, n := range r.Connections[i].NAT {
			text += fmt.Sprint("|", n.Zone)
		}
		out = append(out, text)
	}
	return out
}

// Equal tuples of two zones are two connections, and each shows its zone.
func TestConnectionsShowTheirZones(t *testing.T) {
	h := newMachineHost(t)
	for zone, tuples := range map[uint16]string{3: reportertest.Plain, 7: reportertest.Plain, 9: reportertest.DNAT} {
		h.Send(reportertest.Message{Type: ctmsg.Update, ID: uint32(zone), Zone: zone, State: "ESTABLISHED", Tuples: tuples})
	}
	h.Walk(reportertest.Socket{Netns: 5, Row: "10.3.3.3:1>10.4.4.4:2", Inode: 3})
	if got, want := zones(h.Report()), []string{"3", "7", "9|9", "0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
