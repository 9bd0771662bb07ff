package current

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

var (
	curl  = []report.Process{{PID: 100, Comm: "curl"}}
	nginx = []report.Process{{PID: 200, Comm: "nginx"}}
)

func TestRowsOfFlow(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.DNAT)
	h.Pass(1).Walk(
		reportertest.Socket{Netns: 1, Row: "10.0.0.1:40000>10.0.0.80:80", Inode: 11, Processes: curl},
		reportertest.Socket{Netns: 2, Row: "172.17.0.2:8080>10.0.0.1:40000", Inode: 12, Processes: nginx})
	r := h.Want("10.0.0.1:40000@1(100 curl) -> 172.17.0.2:8080@2(200 nginx) ESTABLISHED original nat1")
	if c := r.Connections[0]; c.FirstSeen != 0 || c.LastSeen != 1e9 || len(c.Seen) != 2 {
		t.Errorf("%+v", c)
	}
	if len(r.Endpoints) != 2 || len(r.Endpoints[1].Processes) != 1 {
		t.Errorf("endpoints %+v", r.Endpoints)
	}
	h.Pass(1).Conntrack(ctmsg.Update, 7, "TIME_WAIT", reportertest.DNAT)
	h.Want("10.0.0.1:40000@1(100 curl) -> 172.17.0.2:8080@2(200 nginx) TIME_WAIT original nat1 closed")
	h.Want() // the rows were read before the end
	h.Pass(1).Walk()
	h.Want() // and when they are gone, the end is not reported again
}

func TestRowReadAfterTheEndCounts(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.Plain)
	h.Pass(1).Conntrack(ctmsg.Destroy, 7, "", reportertest.Plain) // the entry was evicted, the socket is open
	h.Pass(1).Walk(reportertest.Socket{Row: reportertest.Plain, Inode: 11, Processes: curl})
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order")
	h.Want("10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order")
}

func TestEndsAreKeptForTheUnfinishedWalk(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.Plain)
	h.Walk()
	h.Pass(1).WalkBegin()
	h.Tables(reportertest.Socket{Row: reportertest.Plain, Inode: 11, Processes: curl})
	h.Pass(1).Conntrack(ctmsg.Destroy, 7, "", reportertest.Plain)
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original closed")
	h.Want()
	h.Want()
	h.WalkEnd() // has a row that was read before the end
	h.Want()
	h.Walk()
	h.Want()
}

func TestPortReuseKeepsProcessesApart(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.Plain)
	h.Walk(reportertest.Socket{Row: reportertest.Plain, Inode: 11, Processes: curl})
	h.Pass(1).Conntrack(ctmsg.Destroy, 7, "", reportertest.Plain)
	h.Pass(1).Conntrack(ctmsg.New, 8, "SYN_SENT", reportertest.Plain)
	h.Conntrack(ctmsg.Update, 8, "ESTABLISHED", reportertest.Plain)
	h.Want("10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	h.Walk(reportertest.Socket{Row: reportertest.Plain, Inode: 12, Processes: nginx})
	h.Want("10.0.0.1:40000(200 nginx) -> 10.0.0.2:80 ESTABLISHED handshake")
}

func TestRowDoesNotJoinALaterFlow(t *testing.T) {
	h := newMachineHost(t)
	h.Walk(reportertest.Socket{Row: reportertest.Plain, Inode: 11, Processes: curl})
	h.Want("10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order")
	h.Pass(1).Conntrack(ctmsg.New, 8, "SYN_SENT", reportertest.Plain)
	h.Conntrack(ctmsg.Update, 8, "ESTABLISHED", reportertest.Plain)
	h.Conntrack(ctmsg.Update, 8, "TIME_WAIT", reportertest.Plain)
	h.Want("10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order closed", // its end was not seen
		"10.0.0.1:40000 -> 10.0.0.2:80 TIME_WAIT handshake closed")
	h.Walk()
	h.Want()
}

// The record of an event is a little later than the event: a table that was read between them has
// the flow's own socket.
func TestRowReadBeforeTheStampOfItsFlow(t *testing.T) {
	for _, c := range []struct {
		later float64
		want  string
	}{
		{0.01, "10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED handshake"},
		{0.1, "10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake"},
	} {
		h := newMachineHost(t)
		h.Walk()
		h.Pass(1).WalkBegin()
		h.Tables(reportertest.Socket{Row: reportertest.Plain, Inode: 11, Processes: curl})
		h.Pass(c.later)
		h.Send(reportertest.Message{Type: ctmsg.New, ID: 7, State: "SYN_SENT", Tuples: reportertest.Plain, Unseen: true})
		h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.Plain)
		h.WalkEnd()
		h.Want(c.want)
	}
}

// A connection that was reported is closed in a later report, for every way to end.
func TestSocketsEndWithTheirFlow(t *testing.T) {
	open := "10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED "
	rows := []reportertest.Socket{{Row: reportertest.Plain, Inode: 11, Processes: curl}}
	for name, c := range map[string]struct {
		before, end func(*machineHost)
		direction   string
	}{
		"half open, destroyed": {func(h *machineHost) { h.Conntrack(ctmsg.New, 7, "SYN_SENT", reportertest.Plain) },
			func(h *machineHost) { h.Conntrack(ctmsg.Destroy, 7, "", reportertest.Plain) }, "handshake"},
		"half open, gone from the table": {func(h *machineHost) { h.Conntrack(ctmsg.New, 7, "SYN_SENT", reportertest.Plain) },
			func(h *machineHost) { h.Walk() }, "handshake"},
		"unknown, CLOSE":     {func(*machineHost) {}, func(h *machineHost) { h.Conntrack(ctmsg.Update, 7, "CLOSE", reportertest.Plain) }, "port-order"},
		"unknown, destroyed": {func(*machineHost) {}, func(h *machineHost) { h.Conntrack(ctmsg.Destroy, 7, "", reportertest.Plain) }, "port-order"},
		"a new flow":         {func(*machineHost) {}, func(h *machineHost) { h.Conntrack(ctmsg.New, 7, "SYN_SENT", reportertest.Plain) }, "port-order"},
		"no row any more":    {func(*machineHost) {}, func(h *machineHost) { h.Walk() }, "port-order"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newMachineHost(t)
			c.before(h)
			h.Pass(1).Walk(rows...)
			h.Want(open + c.direction)
			h.Pass(1)
			c.end(h)
			r := h.Report()
			if len(r.Connections) != 1 || !r.Connections[0].Closed || len(r.Connections[0].From.Processes) != 1 {
				t.Errorf("then: %+v", r.Connections)
			}
			h.Want()
			h.Pass(1).Walk()
			h.Want()
		})
	}
}

func TestClosedKeepsItsProcesses(t *testing.T) {
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.Plain)
	h.Pass(1).Walk(reportertest.Socket{Netns: 5, Row: reportertest.Plain, Inode: 11, Processes: curl})
	h.Report()
	h.Pass(1).Conntrack(ctmsg.Destroy, 7, "", reportertest.Plain)
	h.Pass(1).Walk()
	r := h.Want("10.0.0.1:40000@5(100 curl) -> 10.0.0.2:80 ESTABLISHED original closed")
	if len(r.Connections[0].Seen) != 2 {
		t.Errorf("seen by %v", r.Connections[0].Seen)
	}
}

func TestWalkWithAGapOnlyAdds(t *testing.T) {
	h := newMachineHost(t)
	x := "10.0.0.9:4000>10.0.0.2:81"
	h.Walk(reportertest.Socket{Netns: 5, Row: reportertest.Plain}, reportertest.Socket{Netns: 6, Row: x, Inode: 9, Processes: curl})
	h.Report()
	h.Pass(1).WalkBegin()
	h.Tables(reportertest.Socket{Netns: 5, Row: reportertest.Plain})
	h.Put(capture.KindGap, 2, &capture.Gap{Lost: 1})
	h.WalkEnd()
	h.Want("10.0.0.1:40000@5 -> 10.0.0.2:80 ESTABLISHED port-order maybe",
		"10.0.0.9:4000@6(100 curl) -> 10.0.0.2:81 ESTABLISHED port-order maybe")
	h.Pass(1).Walk(reportertest.Socket{Netns: 5, Row: reportertest.Plain})
	h.Want("10.0.0.1:40000@5 -> 10.0.0.2:80 ESTABLISHED port-order",
		"10.0.0.9:4000@6(100 curl) -> 10.0.0.2:81 ESTABLISHED port-order closed")
}

func TestTablesOutsideAWalkAdd(t *testing.T) {
	h := newMachineHost(t)
	h.Tables(reportertest.Socket{Netns: 5, Row: reportertest.Plain, Inode: 11, Processes: curl})
	h.Want("10.0.0.1:40000@5(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order")
	h.Tables(reportertest.Socket{Netns: 6, Row: "10.0.0.9:4000>10.0.0.2:81"})
	h.Want("10.0.0.1:40000@5(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order", "10.0.0.9:4000@6 -> 10.0.0.2:81 ESTABLISHED port-order")
	h.Walk()
	h.Want("10.0.0.1:40000@5(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order closed", "10.0.0.9:4000@6 -> 10.0.0.2:81 ESTABLISHED port-order closed")
}

// A connection that ended before the first complete walk is not reported as open again: neither
// from the rows so far, nor from a walk that adds to them.
func TestEndsAreKeptBeforeTheFirstCompleteWalk(t *testing.T) {
	for _, live := range []bool{false, true} {
		h := newMachineHost(t)
		h.WalkBegin()
		h.Put(capture.KindGap, 2, &capture.Gap{Lost: 1})
		h.Tables(reportertest.Socket{Netns: 5, Row: reportertest.Plain})
		h.WalkEnd()
		if live {
			h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", reportertest.Plain)
		}
		h.Report()
		h.Pass(1).Conntrack(ctmsg.Destroy, 7, "", reportertest.Plain)
		if r := h.Report(); len(r.Connections) != 1 || !r.Connections[0].Closed {
			t.Errorf("%+v", r.Connections)
		}
		h.Want()
		h.Tables(reportertest.Socket{Netns: 6, Row: "10.0.0.9:4000>10.0.0.2:81"})
		h.Want("10.0.0.9:4000@6 -> 10.0.0.2:81 ESTABLISHED port-order")
	}
}

func TestRowsWithoutFlows(t *testing.T) {
	h := newMachineHost(t)
	h.Walk(reportertest.Socket{Netns: 1, Row: "10.0.0.1:40000>10.0.0.2:80", Inode: 11, Processes: curl},
		reportertest.Socket{Netns: 2, Row: "10.0.0.2:80>10.0.0.1:40000", Inode: 12, Processes: nginx}, // the other socket of the connection
		reportertest.Socket{Netns: 3, Row: "10.0.0.1:40000>10.0.0.2:80", Inode: 13},                   // the same tuple in another namespace: another connection
		reportertest.Socket{Netns: 1, Row: "10.0.0.1:5000>10.0.0.3:5000", State: procnet.CloseWait})
	h.Want("10.0.0.1:5000@1 -> 10.0.0.3:5000 CLOSE_WAIT unknown",
		"10.0.0.1:40000@1(100 curl) -> 10.0.0.2:80@2(200 nginx) ESTABLISHED port-order",
		"10.0.0.1:40000@3 -> 10.0.0.2:80 ESTABLISHED port-order")
	h.Pass(3).Walk(reportertest.Socket{Netns: 2, Row: "10.0.0.2:80>10.0.0.1:40000", Inode: 12, Processes: nginx, State: procnet.FinWait2})
	r := h.Want("10.0.0.1:5000@1 -> 10.0.0.3:5000 CLOSE_WAIT unknown closed",
		"10.0.0.1:40000 -> 10.0.0.2:80@2(200 nginx) FIN_WAIT2 port-order",
		"10.0.0.1:40000@3 -> 10.0.0.2:80 ESTABLISHED port-order closed")
	if c := r.Connections[1]; c.FirstSeen != 0 || c.LastSeen != 3e9 {
		t.Errorf("%+v", c)
	}
	h.Pass(3).Walk()
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80@2(200 nginx) FIN_WAIT2 port-order closed")
	h.Want()
}

func TestRowsWithoutInode(t *testing.T) {
	h := newMachineHost(t)
	h.Walk(reportertest.Socket{Row: "10.0.0.1:80>10.0.0.2:1000"}, reportertest.Socket{Row: "10.0.0.1:80>10.0.0.2:1001"}, reportertest.Socket{Row: "10.0.0.1:80>10.0.0.2:1002"},
		reportertest.Socket{Row: "10.0.0.1:80>10.0.0.2:1003", Inode: 9, Processes: nginx})
	h.Want("10.0.0.2:1000 -> 10.0.0.1:80 ESTABLISHED port-order", "10.0.0.2:1001 -> 10.0.0.1:80 ESTABLISHED port-order",
		"10.0.0.2:1002 -> 10.0.0.1:80 ESTABLISHED port-order", "10.0.0.2:1003 -> 10.0.0.1:80(200 nginx) ESTABLISHED port-order")
	// A row has no inode until accept: with one it is the same connection. Another inode is another
	// connection.
	h.Pass(1).Walk(reportertest.Socket{Row: "10.0.0.1:80>10.0.0.2:1000", Inode: 7, Processes: nginx}, reportertest.Socket{Row: "10.0.0.1:80>10.0.0.2:1003", Inode: 10})
	h.Want("10.0.0.2:1000 -> 10.0.0.1:80(200 nginx) ESTABLISHED port-order",
		"10.0.0.2:1001 -> 10.0.0.1:80 ESTABLISHED port-order closed", "10.0.0.2:1002 -> 10.0.0.1:80 ESTABLISHED port-order closed",
		"10.0.0.2:1003 -> 10.0.0.1:80(200 nginx) ESTABLISHED port-order closed",
		"10.0.0.2:1003 -> 10.0.0.1:80 ESTABLISHED port-order")
}

func TestLoopback(t *testing.T) {
	lo, back := "127.0.0.1:40000>127.0.0.1:6379", "127.0.0.1:6379>127.0.0.1:40000"
	h := newMachineHost(t)
	h.Conntrack(ctmsg.Update, 1, "ESTABLISHED", lo)
	h.Want("127.0.0.1:40000 -> 127.0.0.1:6379 ESTABLISHED original")
	h.Walk(reportertest.Socket{Netns: 1, Row: lo, Inode: 1, Processes: curl}, reportertest.Socket{Netns: 1, Row: back})
	r := h.Want("127.0.0.1:40000@1(100 curl) -> 127.0.0.1:6379@1 ESTABLISHED original")
	if r.Endpoints[1].ID() != "host1-1;127.0.0.1;40000" {
		t.Errorf("id %s", r.Endpoints[1].ID())
	}
	// Two namespaces have the tuple: the flow may belong to either.
	h.Walk(reportertest.Socket{Netns: 1, Row: lo}, reportertest.Socket{Netns: 1, Row: back}, reportertest.Socket{Netns: 2, Row: back})
	h.Want("127.0.0.1:40000 -> 127.0.0.1:6379 ESTABLISHED original",
		"127.0.0.1:40000@1 -> 127.0.0.1:6379@1 ESTABLISHED port-order",
		"127.0.0.1:40000@2 -> 127.0.0.1:6379@2 ESTABLISHED port-order")
	// The namespace of the flow is known: it joins only the rows there.
	h.Put(capture.KindSource, 1, &capture.Source{Open: true, Kind: "conntrack", Netns: 2})
	h.Want("127.0.0.1:40000@1 -> 127.0.0.1:6379@1 ESTABLISHED port-order",
		"127.0.0.1:40000@2 -> 127.0.0.1:6379@2 ESTABLISHED original")
	h.Conntrack(ctmsg.Destroy, 1, "", lo)
	h.Want("127.0.0.1:40000@1 -> 127.0.0.1:6379@1 ESTABLISHED port-order",
		"127.0.0.1:40000@2 -> 127.0.0.1:6379@2 ESTABLISHED original closed")
}

func TestMappedAddresses(t *testing.T) {
	h := newMachineHost(t)
	h.Walk(reportertest.Socket{Netns: 1, Row: "10.0.0.1:40000>10.0.0.2:80", Inode: 11, Processes: curl},
		reportertest.Socket{Netns: 2, Row: "[::ffff:10.0.0.2]:80>[::ffff:10.0.0.1]:40000", Inode: 12, Processes: nginx}, reportertest.Listen(2, "[::]:80"))
	h.Want("10.0.0.1:40000@1(100 curl) -> 10.0.0.2:80@2(200 nginx) ESTABLISHED listener")
}
