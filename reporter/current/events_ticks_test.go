package current

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// A connection is in each report once, on whichever side of a tick the records of conntrack and
// the events of its sockets come.
func TestEventsAcrossTicks(t *testing.T) {
	const (
		named   = "10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 TIME_WAIT handshake closed"
		unnamed = "10.0.0.1:40000 -> 10.0.0.2:80 TIME_WAIT handshake closed"
		alone   = "10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 CLOSE socket closed"
		open    = "10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 ESTABLISHED socket"
	)
	client := func(h *machineHost) {
		newProcess(h, 100, 50, "curl")
		h.Connect(100, 1, toServer)
		h.Close(100, 1, toServer, false)
	}
	for name, c := range map[string]func(h *machineHost){
		"events before the tick, the flow after it": func(h *machineHost) {
			client(h)
			h.Pass(0.01)
			h.Want()
			tracked(h, 1, toServer)
			h.Pass(1)
			h.Want(named)
			h.Pass(3)
			h.Want()
		},
		"the flow before the tick, events after it": func(h *machineHost) {
			tracked(h, 1, toServer)
			h.Pass(0.01)
			h.Want(unnamed)
			client(h)
			h.Pass(1)
			h.Want()
			h.Pass(3)
			h.Want()
		},
		"no flow at all": func(h *machineHost) {
			client(h)
			h.Pass(0.01)
			h.Want()
			h.Pass(3)
			h.Want(alone)
			h.Pass(3)
			h.Want()
		},
		"the end after the tick": func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			h.Connect(100, 1, toServer)
			h.Pass(1)
			h.Want(open)
			h.Close(100, 1, toServer, false)
			h.Pass(0.01)
			h.Want(alone)
			h.Pass(3)
			h.Want()
		},
		"the flow ends before its socket": func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			h.Connect(100, 1, toServer)
			tracked(h, 1, toServer)
			h.Pass(1)
			h.Want(named)
			h.Pass(1)
			h.Close(100, 1, toServer, false)
			h.Pass(1)
			h.Want()
		},
		"the kernel forgets the flow of an open socket": func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			h.Connect(100, 1, toServer)
			tracked(h, 1, toServer)
			h.Conntrack(ctmsg.Destroy, 1, "", toServer)
			h.Pass(1)
			h.Want(named)
			h.Pass(3)
			h.Want()
			h.Pass(3)
			h.Want(open)
		},
		"a port that is used again": func(h *machineHost) {
			client(h)
			tracked(h, 1, toServer)
			h.Conntrack(ctmsg.Destroy, 1, "", toServer)
			h.Pass(0.02)
			h.Process(sockmsg.Process{Kind: sockmsg.Exit, PID: 100})
			newProcess(h, 101, 50, "wget")
			h.Connect(101, 2, toServer)
			h.Close(101, 2, toServer, false)
			tracked(h, 1, toServer)
			h.Pass(1)
			h.Want(named, "10.0.0.1:40000@7(101 wget) -> 10.0.0.2:80 TIME_WAIT handshake closed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newMachineHost(t)
			h.Put(capture.KindSource, 1, &capture.Source{Open: true, Kind: capture.SourceConntrack})
			shell(h)
			h.Pass(10)
			c(h)
		})
	}
}

// A walk of /proc after a loss of events shows which sockets are still open.
func TestEventsAfterALoss(t *testing.T) {
	h := newMachineHost(t)
	shell(h)
	newProcess(h, 100, 50, "curl")
	other := "10.0.0.1:40001>10.0.0.2:80"
	h.Connect(100, 1, toServer)
	h.Connect(100, 2, other)
	h.Pass(1)
	h.Put(capture.KindGap, 5, &capture.Gap{Lost: 3, Exact: true})
	h.Pass(1)
	r := h.Want("10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 ESTABLISHED socket maybe", "10.0.0.1:40001@7(100 curl) -> 10.0.0.2:80 ESTABLISHED socket maybe")
	if c := reportertest.CoverageOf(r, capture.SourceSockets); c.State != report.CoverageDegraded || c.Lost != 3 {
		t.Errorf("coverage %+v", c)
	}
	h.Pass(1)
	row := reportertest.Socket{Netns: 7, Row: other, Inode: 5}
	h.Walk(row)
	h.Want("10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 CLOSE socket closed", "10.0.0.1:40001@7(100 curl) -> 10.0.0.2:80 ESTABLISHED socket")
	h.Pass(3)
	r = h.Want("10.0.0.1:40001@7(100 curl) -> 10.0.0.2:80 ESTABLISHED socket")
	if c := reportertest.CoverageOf(r, capture.SourceSockets); c.State != report.CoverageOK || c.Why == "" {
		t.Errorf("coverage %+v", c)
	}
	h.Event(reportertest.Event{PID: 100, Socket: 2, Change: "ESTABLISHED>FIN_WAIT1", Row: other})
	h.Event(reportertest.Event{Socket: 2, Change: "FIN_WAIT1>CLOSE", Row: other, Flags: sockmsg.FlagSoftIRQ})
	h.Pass(1)
	h.Walk()
	h.Want("10.0.0.1:40001@7(100 curl) -> 10.0.0.2:80 CLOSE socket closed")
	h.Pass(3)
	h.Want() // the walk that lacks the row shows no further connection
}

// A connection that tables showed before its events ends with them, and only once.
func TestEventsEndRows(t *testing.T) {
	h := newMachineHost(t)
	shell(h)
	row := reportertest.Socket{Netns: 7, Row: toServer, Inode: 5, Processes: []report.Process{{PID: 100, Comm: "curl"}}}
	h.Walk(row)
	h.Pass(1)
	h.Want("10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order")
	h.Close(100, 1, toServer, false)
	h.Pass(1)
	h.Want("10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 CLOSE port-order closed")
	h.Pass(1)
	h.Walk()
	h.Want()
	h.Pass(1)
	h.Connect(100, 1, toServer)
	h.Pass(1)
	h.Walk(row)
	h.Pass(1)
	h.Want("10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 ESTABLISHED socket")
}

// The time of a connect is on its connection.
func TestConnectTime(t *testing.T) {
	h := newMachineHost(t)
	h.Event(reportertest.Event{PID: 1, Socket: 1, Change: "CLOSE>SYN_SENT", Row: "10.0.0.1:0>10.0.0.2:80"})
	h.Pass(0.0012)
	h.Event(reportertest.Event{Socket: 1, Change: "SYN_SENT>ESTABLISHED", Row: toServer, Flags: sockmsg.FlagSoftIRQ})
	h.Pass(1)
	if r := h.Report(); len(r.Connections) != 1 || r.Connections[0].Connect != 1.2e6 {
		t.Errorf("%s", r.AppendJSON(nil))
	}
}
