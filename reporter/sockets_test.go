package reporter

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/procnet"
)

var (
	curl  = []Process{{100, "curl"}}
	nginx = []Process{{200, "nginx"}}
)

func TestRowsOfFlow(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 7, "ESTABLISHED", dnat)
	h.pass(1).walk(
		sock{netns: 1, row: "10.0.0.1:40000>10.0.0.80:80", inode: 11, procs: curl},
		sock{netns: 2, row: "172.17.0.2:8080>10.0.0.1:40000", inode: 12, procs: nginx})
	r := h.want("10.0.0.1:40000@1(100 curl) -> 172.17.0.2:8080@2(200 nginx) ESTABLISHED original nat1")
	if c := r.Connections[0]; c.FirstSeen != 0 || c.LastSeen != 1e9 || len(c.Seen) != 2 {
		t.Errorf("%+v", c)
	}
	if len(r.Endpoints) != 2 || len(r.Endpoints[1].Processes) != 1 {
		t.Errorf("endpoints %+v", r.Endpoints)
	}
	h.pass(1).ct(ctmsg.Update, 7, "TIME_WAIT", dnat)
	h.want("10.0.0.1:40000@1(100 curl) -> 172.17.0.2:8080@2(200 nginx) TIME_WAIT original nat1 closed")
	h.want() // the rows were read before the end
	h.pass(1).walk()
	h.want() // and their vanishing is no second end
}

func TestRowReadAfterTheEndCounts(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 7, "ESTABLISHED", plain)
	h.pass(1).ct(ctmsg.Destroy, 7, "", plain) // evicted, not closed
	h.pass(1).walk(sock{row: plain, inode: 11, procs: curl})
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order")
	h.want("10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order")
}

func TestEndsAreKeptForTheWalkThatGoesOn(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 7, "ESTABLISHED", plain)
	h.walk()
	h.pass(1).walkBegin()
	h.tables(sock{row: plain, inode: 11, procs: curl})
	h.pass(1).ct(ctmsg.Destroy, 7, "", plain)
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original closed")
	h.want()
	h.want()
	h.walkEnd() // brings a row that was read before the end
	h.want()
	h.walk()
	h.want()
}

func TestPortReuseKeepsProcessesApart(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 7, "ESTABLISHED", plain)
	h.walk(sock{row: plain, inode: 11, procs: curl})
	h.pass(1).ct(ctmsg.Destroy, 7, "", plain)
	h.pass(1).ct(ctmsg.New, 8, "SYN_SENT", plain)
	h.ct(ctmsg.Update, 8, "ESTABLISHED", plain)
	h.want("10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED original closed",
		"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake")
	h.walk(sock{row: plain, inode: 12, procs: nginx})
	h.want("10.0.0.1:40000(200 nginx) -> 10.0.0.2:80 ESTABLISHED handshake")
}

func TestRowIsNotOfAYoungerFlow(t *testing.T) {
	h := newMachineHost(t)
	h.walk(sock{row: plain, inode: 11, procs: curl})
	h.want("10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order")
	h.pass(1).ct(ctmsg.New, 8, "SYN_SENT", plain)
	h.ct(ctmsg.Update, 8, "ESTABLISHED", plain)
	h.ct(ctmsg.Update, 8, "TIME_WAIT", plain)
	h.want("10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order closed", // it had ended unseen
		"10.0.0.1:40000 -> 10.0.0.2:80 TIME_WAIT handshake closed")
	h.walk()
	h.want()
}

// What a report showed is in a later one with closed set, however it ends.
// An event's stamp is a little later than the event: a table that was read in
// between has the flow's own socket.
func TestRowReadBeforeTheStampOfItsFlow(t *testing.T) {
	for _, c := range []struct {
		later float64
		want  string
	}{
		{0.01, "10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED handshake"},
		{0.1, "10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED handshake"},
	} {
		h := newMachineHost(t)
		h.walk()
		h.pass(1).walkBegin()
		h.tables(sock{row: plain, inode: 11, procs: curl})
		h.pass(c.later)
		h.send(ct{typ: ctmsg.New, id: 7, state: "SYN_SENT", tuples: plain, unseen: true})
		h.ct(ctmsg.Update, 7, "ESTABLISHED", plain)
		h.walkEnd()
		h.want(c.want)
	}
}

func TestSocketsEndWithTheirFlow(t *testing.T) {
	open := "10.0.0.1:40000(100 curl) -> 10.0.0.2:80 ESTABLISHED "
	rows := []sock{{row: plain, inode: 11, procs: curl}}
	for name, c := range map[string]struct {
		before, end func(*machineHost)
		direction   string
	}{
		"half open, destroyed": {func(h *machineHost) { h.ct(ctmsg.New, 7, "SYN_SENT", plain) },
			func(h *machineHost) { h.ct(ctmsg.Destroy, 7, "", plain) }, "handshake"},
		"half open, gone from the table": {func(h *machineHost) { h.ct(ctmsg.New, 7, "SYN_SENT", plain) },
			func(h *machineHost) { h.walk() }, "handshake"},
		"unknown, CLOSE":     {func(*machineHost) {}, func(h *machineHost) { h.ct(ctmsg.Update, 7, "CLOSE", plain) }, "port-order"},
		"unknown, destroyed": {func(*machineHost) {}, func(h *machineHost) { h.ct(ctmsg.Destroy, 7, "", plain) }, "port-order"},
		"a new flow":         {func(*machineHost) {}, func(h *machineHost) { h.ct(ctmsg.New, 7, "SYN_SENT", plain) }, "port-order"},
		"no row any more":    {func(*machineHost) {}, func(h *machineHost) { h.walk() }, "port-order"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newMachineHost(t)
			c.before(h)
			h.pass(1).walk(rows...)
			h.want(open + c.direction)
			h.pass(1)
			c.end(h)
			r := h.report()
			if len(r.Connections) != 1 || !r.Connections[0].Closed || len(r.Connections[0].From.Processes) != 1 {
				t.Errorf("then: %+v", r.Connections)
			}
			h.want()
			h.pass(1).walk()
			h.want()
		})
	}
}

func TestClosedKeepsItsProcesses(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 7, "ESTABLISHED", plain)
	h.pass(1).walk(sock{netns: 5, row: plain, inode: 11, procs: curl})
	h.report()
	h.pass(1).ct(ctmsg.Destroy, 7, "", plain)
	h.pass(1).walk()
	r := h.want("10.0.0.1:40000@5(100 curl) -> 10.0.0.2:80 ESTABLISHED original closed")
	if len(r.Connections[0].Seen) != 2 {
		t.Errorf("seen by %v", r.Connections[0].Seen)
	}
}

func TestGapInsideAWalkTakesNothingAway(t *testing.T) {
	h := newMachineHost(t)
	x := "10.0.0.9:4000>10.0.0.2:81"
	h.walk(sock{netns: 5, row: plain}, sock{netns: 6, row: x, inode: 9, procs: curl})
	h.report()
	h.pass(1).walkBegin()
	h.tables(sock{netns: 5, row: plain})
	h.put(capture.KindGap, 2, &capture.Gap{Lost: 1})
	h.walkEnd()
	h.want("10.0.0.1:40000@5 -> 10.0.0.2:80 ESTABLISHED port-order maybe",
		"10.0.0.9:4000@6(100 curl) -> 10.0.0.2:81 ESTABLISHED port-order maybe")
	h.pass(1).walk(sock{netns: 5, row: plain})
	h.want("10.0.0.1:40000@5 -> 10.0.0.2:80 ESTABLISHED port-order",
		"10.0.0.9:4000@6(100 curl) -> 10.0.0.2:81 ESTABLISHED port-order closed")
}

func TestTablesOutsideAWalkAdd(t *testing.T) {
	h := newMachineHost(t)
	h.tables(sock{netns: 5, row: plain, inode: 11, procs: curl})
	h.want("10.0.0.1:40000@5(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order")
	h.tables(sock{netns: 6, row: "10.0.0.9:4000>10.0.0.2:81"})
	h.want("10.0.0.1:40000@5(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order", "10.0.0.9:4000@6 -> 10.0.0.2:81 ESTABLISHED port-order")
	h.walk()
	h.want("10.0.0.1:40000@5(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order closed", "10.0.0.9:4000@6 -> 10.0.0.2:81 ESTABLISHED port-order closed")
}

// Before the first whole walk too, what ended does not come back: not with the
// rows that were known, and not with a walk that only adds to them.
func TestEndsAreKeptBeforeTheFirstWholeWalk(t *testing.T) {
	for _, live := range []bool{false, true} {
		h := newMachineHost(t)
		h.walkBegin()
		h.put(capture.KindGap, 2, &capture.Gap{Lost: 1})
		h.tables(sock{netns: 5, row: plain})
		h.walkEnd()
		if live {
			h.ct(ctmsg.Update, 7, "ESTABLISHED", plain)
		}
		h.report()
		h.pass(1).ct(ctmsg.Destroy, 7, "", plain)
		if r := h.report(); len(r.Connections) != 1 || !r.Connections[0].Closed {
			t.Errorf("%+v", r.Connections)
		}
		h.want()
		h.tables(sock{netns: 6, row: "10.0.0.9:4000>10.0.0.2:81"})
		h.want("10.0.0.9:4000@6 -> 10.0.0.2:81 ESTABLISHED port-order")
	}
}

func TestRowsAlone(t *testing.T) {
	h := newMachineHost(t)
	h.walk(sock{netns: 1, row: "10.0.0.1:40000>10.0.0.2:80", inode: 11, procs: curl},
		sock{netns: 2, row: "10.0.0.2:80>10.0.0.1:40000", inode: 12, procs: nginx}, // its mirror
		sock{netns: 3, row: "10.0.0.1:40000>10.0.0.2:80", inode: 13},               // equal orientation: another one
		sock{netns: 1, row: "10.0.0.1:5000>10.0.0.3:5000", state: procnet.CloseWait})
	h.want("10.0.0.1:5000@1 -> 10.0.0.3:5000 CLOSE_WAIT unknown",
		"10.0.0.1:40000@1(100 curl) -> 10.0.0.2:80@2(200 nginx) ESTABLISHED port-order",
		"10.0.0.1:40000@3 -> 10.0.0.2:80 ESTABLISHED port-order")
	h.pass(3).walk(sock{netns: 2, row: "10.0.0.2:80>10.0.0.1:40000", inode: 12, procs: nginx, state: procnet.FinWait2})
	r := h.want("10.0.0.1:5000@1 -> 10.0.0.3:5000 CLOSE_WAIT unknown closed",
		"10.0.0.1:40000 -> 10.0.0.2:80@2(200 nginx) FIN_WAIT2 port-order",
		"10.0.0.1:40000@3 -> 10.0.0.2:80 ESTABLISHED port-order closed")
	if c := r.Connections[1]; c.FirstSeen != 0 || c.LastSeen != 3e9 {
		t.Errorf("%+v", c)
	}
	h.pass(3).walk()
	h.want("10.0.0.1:40000 -> 10.0.0.2:80@2(200 nginx) FIN_WAIT2 port-order closed")
	h.want()
}

func TestRowsWithoutInode(t *testing.T) {
	h := newMachineHost(t)
	h.walk(sock{row: "10.0.0.1:80>10.0.0.2:1000"}, sock{row: "10.0.0.1:80>10.0.0.2:1001"}, sock{row: "10.0.0.1:80>10.0.0.2:1002"},
		sock{row: "10.0.0.1:80>10.0.0.2:1003", inode: 9, procs: nginx})
	h.want("10.0.0.2:1000 -> 10.0.0.1:80 ESTABLISHED port-order", "10.0.0.2:1001 -> 10.0.0.1:80 ESTABLISHED port-order",
		"10.0.0.2:1002 -> 10.0.0.1:80 ESTABLISHED port-order", "10.0.0.2:1003 -> 10.0.0.1:80(200 nginx) ESTABLISHED port-order")
	// An accept gives a row its inode: it is the same connection. Another
	// inode is another one.
	h.pass(1).walk(sock{row: "10.0.0.1:80>10.0.0.2:1000", inode: 7, procs: nginx}, sock{row: "10.0.0.1:80>10.0.0.2:1003", inode: 10})
	h.want("10.0.0.2:1000 -> 10.0.0.1:80(200 nginx) ESTABLISHED port-order",
		"10.0.0.2:1001 -> 10.0.0.1:80 ESTABLISHED port-order closed", "10.0.0.2:1002 -> 10.0.0.1:80 ESTABLISHED port-order closed",
		"10.0.0.2:1003 -> 10.0.0.1:80(200 nginx) ESTABLISHED port-order closed",
		"10.0.0.2:1003 -> 10.0.0.1:80 ESTABLISHED port-order")
}

func TestAllOwnersAreListed(t *testing.T) {
	h := newMachineHost(t)
	h.walk(sock{netns: 1, row: plain, inode: 9, procs: []Process{{302, "worker"}, {301, "worker"}, {300, "master"}}},
		sock{netns: 2, row: "10.0.0.5:1>10.0.0.6:1000", inode: 9}) // the fd may be held from another namespace
	h.want("10.0.0.1:40000@1(300 master)(301 worker)(302 worker) -> 10.0.0.2:80 ESTABLISHED port-order",
		"10.0.0.6:1000 -> 10.0.0.5:1@2(300 master)(301 worker)(302 worker) ESTABLISHED port-order")
}

func TestDirection(t *testing.T) {
	srv := "10.0.0.2:50051>10.0.0.1:33000"
	for name, c := range map[string]struct {
		say  func(*machineHost)
		want string
	}{
		"listener above port order": {func(h *machineHost) { h.walk(sock{netns: 1, row: srv}, listen(1, "0.0.0.0:50051")) },
			"10.0.0.1:33000 -> 10.0.0.2:50051@1 ESTABLISHED listener"},
		"a listener of another namespace is none": {func(h *machineHost) { h.walk(sock{netns: 1, row: srv}, listen(2, "0.0.0.0:50051")) },
			"10.0.0.2:50051@1 -> 10.0.0.1:33000 ESTABLISHED port-order"},
		"dual-stack listener": {func(h *machineHost) { h.walk(sock{netns: 1, row: srv}, listen(1, "[::]:50051")) },
			"10.0.0.1:33000 -> 10.0.0.2:50051@1 ESTABLISHED listener"},
		"both listen": {func(h *machineHost) {
			h.walk(sock{netns: 1, row: "10.0.0.2:7946>10.0.0.1:7946"}, sock{netns: 2, row: "10.0.0.1:7946>10.0.0.2:7946"},
				listen(1, "0.0.0.0:7946"), listen(2, "0.0.0.0:7946"))
		}, "10.0.0.1:7946@2 -> 10.0.0.2:7946@1 ESTABLISHED unknown"},
		"pickup, with a listener": {func(h *machineHost) {
			h.send(ct{typ: ctmsg.New, id: 1, state: "ESTABLISHED", flags: 0x0a, tuples: srv, unseen: true})
			h.send(ct{typ: ctmsg.Update, id: 1, tuples: srv})
			h.walk(sock{netns: 1, row: srv, inode: 9, procs: nginx}, listen(1, "0.0.0.0:50051"))
		}, "10.0.0.1:33000 -> 10.0.0.2:50051@1(200 nginx) ESTABLISHED listener"},
		"pickup, its listener elsewhere": {func(h *machineHost) {
			h.send(ct{typ: ctmsg.Update, id: 1, state: "ESTABLISHED", flags: 0x08, tuples: srv})
			h.walk(listen(1, "10.0.0.2:50051"))
		}, "10.0.0.1:33000 -> 10.0.0.2:50051 ESTABLISHED listener"},
		"pickup, a listener of the one namespace there is": {func(h *machineHost) {
			h.send(ct{typ: ctmsg.Update, id: 1, state: "ESTABLISHED", flags: 0x08, tuples: srv})
			h.walk(listen(1, "0.0.0.0:50051"))
		}, "10.0.0.1:33000 -> 10.0.0.2:50051 ESTABLISHED listener"},
		"pickup, a listener of one of two": {func(h *machineHost) {
			h.send(ct{typ: ctmsg.Update, id: 1, state: "ESTABLISHED", flags: 0x08, tuples: srv})
			h.walk(listen(1, "0.0.0.0:50051"), listen(2, "0.0.0.0:1"))
		}, "10.0.0.2:50051 -> 10.0.0.1:33000 ESTABLISHED original"},
		"pickup": {func(h *machineHost) {
			h.send(ct{typ: ctmsg.Update, id: 1, state: "ESTABLISHED", flags: 0x08, tuples: srv})
		},
			"10.0.0.2:50051 -> 10.0.0.1:33000 ESTABLISHED original"},
		"flags of a handshake": {func(h *machineHost) {
			h.send(ct{typ: ctmsg.Update, id: 1, state: "ESTABLISHED", flags: 0x03, tuples: srv})
			h.walk(sock{netns: 1, row: srv}, listen(1, "0.0.0.0:50051"))
		}, "10.0.0.2:50051@1 -> 10.0.0.1:33000 ESTABLISHED handshake"},
		"flags of a handshake without options": {func(h *machineHost) {
			h.send(ct{typ: ctmsg.Update, id: 1, state: "ESTABLISHED", flags: 0x20, tuples: srv})
		}, "10.0.0.2:50051 -> 10.0.0.1:33000 ESTABLISHED handshake"},
		"masqueraded peer with a low port": {func(h *machineHost) {
			h.walk(sock{netns: 1, row: "10.0.0.2:9090>10.0.0.1:1024"}, listen(1, "10.0.0.2:9090"))
		},
			"10.0.0.1:1024 -> 10.0.0.2:9090@1 ESTABLISHED listener"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newMachineHost(t)
			c.say(h)
			h.want(c.want)
		})
	}
}

func TestLoopback(t *testing.T) {
	lo, back := "127.0.0.1:40000>127.0.0.1:6379", "127.0.0.1:6379>127.0.0.1:40000"
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 1, "ESTABLISHED", lo)
	h.want("127.0.0.1:40000 -> 127.0.0.1:6379 ESTABLISHED original")
	h.walk(sock{netns: 1, row: lo, inode: 1, procs: curl}, sock{netns: 1, row: back})
	r := h.want("127.0.0.1:40000@1(100 curl) -> 127.0.0.1:6379@1 ESTABLISHED original")
	if r.Endpoints[1].ID() != "host1-1;127.0.0.1;40000" {
		t.Errorf("id %s", r.Endpoints[1].ID())
	}
	// Two namespaces have the tuple: the flow may be of either.
	h.walk(sock{netns: 1, row: lo}, sock{netns: 1, row: back}, sock{netns: 2, row: back})
	h.want("127.0.0.1:40000 -> 127.0.0.1:6379 ESTABLISHED original",
		"127.0.0.1:40000@1 -> 127.0.0.1:6379@1 ESTABLISHED port-order",
		"127.0.0.1:40000@2 -> 127.0.0.1:6379@2 ESTABLISHED port-order")
	// Its namespace is known: it joins those rows alone.
	h.put(capture.KindSource, 1, &capture.Source{Open: true, Kind: "conntrack", Netns: 2})
	h.want("127.0.0.1:40000@1 -> 127.0.0.1:6379@1 ESTABLISHED port-order",
		"127.0.0.1:40000@2 -> 127.0.0.1:6379@2 ESTABLISHED original")
	h.ct(ctmsg.Destroy, 1, "", lo)
	h.want("127.0.0.1:40000@1 -> 127.0.0.1:6379@1 ESTABLISHED port-order",
		"127.0.0.1:40000@2 -> 127.0.0.1:6379@2 ESTABLISHED original closed")
}

func TestMappedAddresses(t *testing.T) {
	h := newMachineHost(t)
	h.walk(sock{netns: 1, row: "10.0.0.1:40000>10.0.0.2:80", inode: 11, procs: curl},
		sock{netns: 2, row: "[::ffff:10.0.0.2]:80>[::ffff:10.0.0.1]:40000", inode: 12, procs: nginx}, listen(2, "[::]:80"))
	h.want("10.0.0.1:40000@1(100 curl) -> 10.0.0.2:80@2(200 nginx) ESTABLISHED listener")
}

func TestWalks(t *testing.T) {
	h := newMachineHost(t)
	h.walk(sock{netns: 1, row: plain, inode: 11, procs: curl}, sock{netns: 2, row: "10.0.0.9:4000>10.0.0.2:81"})
	h.pass(1).walkBegin()
	h.tables(sock{netns: 2, row: "10.0.0.9:4001>10.0.0.2:81"})
	h.want("10.0.0.1:40000@1(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order",
		"10.0.0.9:4000@2 -> 10.0.0.2:81 ESTABLISHED port-order") // not before its end
	h.put(capture.KindProcUnchanged, 2, &capture.ProcUnchanged{Netns: 1, Table: "tcp", Checked: h.at})
	h.walkEnd()
	r := h.want("10.0.0.1:40000@1 -> 10.0.0.2:80 ESTABLISHED port-order", // the owners are those of this walk
		"10.0.0.9:4000@2 -> 10.0.0.2:81 ESTABLISHED port-order closed",
		"10.0.0.9:4001@2 -> 10.0.0.2:81 ESTABLISHED port-order")
	if c := r.Connections[0]; c.FirstSeen != 0 || c.LastSeen != 1e9 {
		t.Errorf("%+v", c)
	}
	h.put(capture.KindGap, 2, &capture.Gap{Lost: 1, Why: "walk skipped"})
	r = h.want("10.0.0.1:40000@1 -> 10.0.0.2:80 ESTABLISHED port-order maybe",
		"10.0.0.9:4001@2 -> 10.0.0.2:81 ESTABLISHED port-order maybe")
	if c := coverageOf(r, "proc"); c.State != CoverageDegraded || c.Why != "walk skipped" {
		t.Errorf("%+v", c)
	}
	h.pass(1).walk(sock{netns: 2, row: "10.0.0.9:4001>10.0.0.2:81"})
	r = h.want("10.0.0.1:40000@1 -> 10.0.0.2:80 ESTABLISHED port-order closed",
		"10.0.0.9:4001@2 -> 10.0.0.2:81 ESTABLISHED port-order")
	if c := coverageOf(r, "proc"); c.State != CoverageOK {
		t.Errorf("%+v", c)
	}
}

func TestCoverageCrossCheck(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 1, "ESTABLISHED", plain)
	h.walk(sock{netns: 1, row: plain}, sock{netns: 1, row: "10.0.0.9:4000>10.0.0.2:81"})
	if c := coverageOf(h.report(), "conntrack"); c.State != CoverageOK {
		t.Errorf("half of the sockets tracked: %+v", c)
	}
	h.walk(sock{netns: 1, row: plain}, sock{netns: 1, row: "10.0.0.9:4000>10.0.0.2:81"}, sock{netns: 1, row: "10.0.0.9:4001>10.0.0.2:81"})
	if c := coverageOf(h.report(), "conntrack"); c.State != CoverageDegraded || c.Why == "" {
		t.Errorf("a third of the sockets tracked: %+v", c)
	}
	h.put(capture.KindSource, 1, &capture.Source{Open: true, Kind: "conntrack", Netns: 5})
	if c := coverageOf(h.report(), "conntrack"); c.State != CoverageOK {
		t.Errorf("it watches another namespace: %+v", c)
	}
	h.put(capture.KindHost, 0, &capture.Host{Sysctls: []capture.Sysctl{{Name: "net.netfilter.nf_conntrack_events", Value: "0\n"}}})
	if c := coverageOf(h.report(), "conntrack"); c.State != CoverageDegraded {
		t.Errorf("events are off: %+v", c)
	}
}

func TestAddressGone(t *testing.T) {
	h := newMachineHost(t)
	h.ct(ctmsg.Update, 1, "ESTABLISHED", plain)
	with := &capture.Host{Interfaces: []capture.Interface{{Name: "eth0", Addresses: []string{"10.0.0.1/24"}}}}
	h.put(capture.KindHost, 0, with)
	h.put(capture.KindHost, 0, with)
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original")
	h.put(capture.KindHost, 0, &capture.Host{Interfaces: []capture.Interface{{Name: "eth0", Addresses: []string{"10.0.0.7/24"}}}})
	h.want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED original closed")
}

func TestOwnersOfSeveralNamespaces(t *testing.T) {
	h := newMachineHost(t)
	// One socket, held from two namespaces: all its owners are listed.
	h.walkBegin()
	h.tables(sock{netns: 1, row: plain, inode: 9, procs: []Process{{300, "master"}}}, sock{netns: 2, row: "10.0.0.5:1>10.0.0.6:1000", inode: 10})
	h.put(capture.KindProcSockets, 2, &capture.ProcSockets{Netns: 2, Processes: []capture.Process{{PID: 301, Comm: "worker", Inodes: []uint64{9, 10}}}})
	h.walkEnd()
	h.want("10.0.0.1:40000@1(300 master)(301 worker) -> 10.0.0.2:80 ESTABLISHED port-order",
		"10.0.0.6:1000 -> 10.0.0.5:1@2(301 worker) ESTABLISHED port-order")
	// Two sockets of one number: each namespace has its own.
	h.pass(1).walk(sock{netns: 1, row: plain, inode: 9, procs: []Process{{300, "master"}}},
		sock{netns: 2, row: "10.0.0.5:1>10.0.0.6:1000", inode: 9, procs: []Process{{301, "worker"}}})
	h.want("10.0.0.1:40000@1(300 master) -> 10.0.0.2:80 ESTABLISHED port-order",
		"10.0.0.6:1000 -> 10.0.0.5:1@2(301 worker) ESTABLISHED port-order closed",
		"10.0.0.6:1000 -> 10.0.0.5:1@2(301 worker) ESTABLISHED port-order")
}
