package current

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// wantAttempts sends a tick that ends an interval of 3 s and compares the attempts of the report.
func wantAttempts(h *machineHost, lines ...string) *report.Report {
	h.T.Helper()
	h.Put(capture.KindTick, 0, &capture.Tick{Interval: 3e9})
	r := h.m.Report()
	var got []string
	for i := range r.Attempts {
		a := &r.Attempts[i]
		s := fmt.Sprintf("%s@%d", a.From.Addr.Addr(), a.From.Netns)
		for _, p := range a.From.Processes {
			s += fmt.Sprintf("(%d %s)", p.PID, p.Comm)
		}
		s += strings.TrimRight(fmt.Sprintf(" -> %s %s %d %s", a.To.Addr, a.Outcome, a.Count, a.Why), " ")
		if a.Earlier > 0 {
			s += fmt.Sprintf(" earlier %d", a.Earlier)
		}
		got = append(got, s)
	}
	reportertest.CheckReport(h.T, r)
	if !slices.Equal(got, lines) {
		h.T.Errorf("tick %d:\n got %s\nwant %s", r.Tick, strings.Join(got, "\n     "), strings.Join(lines, "\n     "))
	}
	return r
}

const softIRQ = sockmsg.FlagSoftIRQ | sockmsg.FlagBHOff

// try sends the SYN of a client.
func try(h *machineHost, pid uint32, socket uint64, client, server string) {
	h.Event(reportertest.Event{PID: pid, Socket: socket, Change: "CLOSE>SYN_SENT", Row: client + ":0>" + server})
}

// fail sends the end of a socket that was never established.
func fail(h *machineHost, pid uint32, socket uint64, row string, flags uint8) {
	h.Event(reportertest.Event{PID: pid, Socket: socket, Change: "SYN_SENT>CLOSE", Row: row, Flags: flags})
}

// b94: what becomes of a SYN, by the time and the context of the socket's end.
func TestOutcomesOfAttempts(t *testing.T) {
	const client, server, row = "10.0.0.1", "10.0.0.9:5432", "10.0.0.1:40000>10.0.0.9:5432"
	for name, c := range map[string]struct {
		after float64 // seconds
		flags uint8
		row   string
		want  string
	}{
		"a reset from this host":      {0.0001, 0, row, "refused 1"},
		"a reset at once":             {0.0002, softIRQ, row, "refused 1"},
		"a reset from far away":       {0.3, softIRQ, row, "refused 1"},
		"the kernel gives up":         {2.9, softIRQ, row, "unanswered 1"},
		"the client gives up":         {0.2, 0, row, "gave-up 1"},
		"the client gives up later":   {2.9, 0, row, "gave-up 1"},
		"there is no local port":      {0.0001, 0, "10.0.0.1:0>10.0.0.9:5432", "gave-up 1 no local port"},
		"the search for a port takes": {0.02, 0, "10.0.0.1:0>10.0.0.9:5432", "gave-up 1 no local port"},
		"a tun writer's context":      {0.02, sockmsg.FlagBHOff, row, "refused 1"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newMachineHost(t)
			shell(h)
			newProcess(h, 100, 50, "app")
			try(h, 100, 1, client, server)
			h.Pass(c.after)
			fail(h, 100, 1, c.row, c.flags)
			h.Pass(0.01)
			r := wantAttempts(h, "10.0.0.1@7(100 app) -> 10.0.0.9:5432 "+c.want)
			if len(r.Connections)+len(r.Endpoints) != 0 {
				t.Errorf("%s", r.AppendJSON(nil))
			}
			if a := r.Attempts[0]; a.LastSeen-a.FirstSeen != int64(c.after*1e9) {
				t.Errorf("from %d to %d", a.FirstSeen, a.LastSeen)
			}
			h.Pass(3)
			wantAttempts(h)
		})
	}
}

// These are no attempts.
func TestNoAttempts(t *testing.T) {
	for name, events := range map[string]func(h *machineHost){
		"a handshake in flight": func(h *machineHost) { try(h, 100, 1, "10.0.0.1", "10.0.0.2:80") },
		"an answer": func(h *machineHost) {
			h.Connect(100, 1, toServer)
			h.Close(100, 1, toServer, false)
		},
		"an accepted socket": func(h *machineHost) {
			h.Event(reportertest.Event{Socket: 2, Change: "LISTEN>SYN_RECV", Row: atServer, Flags: softIRQ})
			h.Event(reportertest.Event{Socket: 2, Change: "SYN_RECV>CLOSE", Row: atServer, Flags: softIRQ})
		},
		"a begin that nobody saw": func(h *machineHost) { fail(h, 100, 1, toServer, 0) },
		"an end that nobody saw": func(h *machineHost) {
			try(h, 100, 1, "10.0.0.1", "10.0.0.2:80")
			h.Connect(100, 1, "10.0.0.1:40001>10.0.0.3:80")
		},
		"a listener that closes": func(h *machineHost) {
			h.Event(reportertest.Event{PID: 100, Socket: 9, Change: "CLOSE>LISTEN", Row: "0.0.0.0:80>0.0.0.0:0"})
			h.Event(reportertest.Event{PID: 100, Socket: 9, Change: "LISTEN>CLOSE", Row: "0.0.0.0:80>0.0.0.0:0"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newMachineHost(t)
			shell(h)
			events(h)
			h.Pass(1)
			wantAttempts(h)
		})
	}
}

// A SYN that is unanswered for longer than one window is in every report until it ends, and in that
// of its end, as unanswered. Earlier makes the sum over the reports right.
func TestUnansweredAttempts(t *testing.T) {
	const row = "10.0.0.1:40000>10.0.0.9:5432"
	const once, again = "10.0.0.1@7(100 app) -> 10.0.0.9:5432 unanswered 1", "10.0.0.1@7(100 app) -> 10.0.0.9:5432 unanswered 1 earlier 1"
	begin := func(t *testing.T) *machineHost {
		h := newMachineHost(t)
		shell(h)
		newProcess(h, 100, 50, "app")
		h.Pass(1)
		try(h, 100, 1, "10.0.0.1", "10.0.0.9:5432")
		h.Pass(2)
		wantAttempts(h)
		h.Pass(1) // exactly one window
		wantAttempts(h)
		h.Pass(2)
		wantAttempts(h, once)
		h.Pass(3)
		wantAttempts(h, again)
		h.Pass(1)
		return h
	}
	for name, flags := range map[string]uint8{"the kernel gives up": softIRQ, "the client gives up": 0} {
		t.Run(name, func(t *testing.T) {
			h := begin(t)
			fail(h, 100, 1, row, flags)
			h.Pass(2)
			wantAttempts(h, again)
			h.Pass(3)
			wantAttempts(h)
		})
	}
	t.Run("an answer", func(t *testing.T) {
		h := begin(t)
		h.Event(reportertest.Event{PID: 99, Socket: 1, Change: "SYN_SENT>ESTABLISHED", Row: row, Flags: softIRQ})
		h.Pass(2)
		if r := wantAttempts(h); len(r.Connections) != 1 {
			t.Errorf("%s", r.AppendJSON(nil))
		}
	})
	t.Run("another try", func(t *testing.T) {
		h := begin(t)
		try(h, 100, 2, "10.0.0.1", "10.0.0.9:5432")
		h.Pass(4)
		wantAttempts(h, "10.0.0.1@7(100 app) -> 10.0.0.9:5432 unanswered 2 earlier 1")
	})
	t.Run("a loss", func(t *testing.T) {
		h := begin(t)
		h.Put(capture.KindGap, 5, &capture.Gap{Lost: 1})
		h.Pass(2)
		wantAttempts(h) // it may be established
		h.Pass(3)
		fail(h, 100, 1, row, softIRQ)
		wantAttempts(h, again) // it was not
	})
}

// Tries of one client, server and outcome are one attempt, whatever their ports and processes.
func TestAttemptsAreFolded(t *testing.T) {
	h := newMachineHost(t)
	shell(h)
	at := func(pid uint32, port int, client, server string) {
		try(h, pid, uint64(port), client, server)
		fail(h, pid, uint64(port), fmt.Sprintf("%s:%d>%s", client, port, server), softIRQ)
	}
	for i := range 100 {
		newProcess(h, uint32(100+i), 50, "app")
		at(uint32(100+i), 40000+i, "10.0.0.1", "10.0.0.9:5432")
	}
	at(100, 50000, "10.0.0.1", "10.0.0.9:80")
	at(100, 50001, "10.0.0.1", "10.0.0.8:5432")
	at(100, 50002, "10.0.0.3", "10.0.0.9:5432")
	at(100, 50003, "127.0.0.1", "127.0.0.1:5432")
	try(h, 100, 7, "10.0.0.1", "10.0.0.9:80")
	h.Pass(0.1)
	fail(h, 100, 7, "10.0.0.1:50005>10.0.0.9:80", 0)
	h.Process(sockmsg.Process{Kind: sockmsg.Namespaces, PID: 100, Netns: 8})
	at(100, 50004, "10.0.0.3", "10.0.0.9:5432")
	r := wantAttempts(h, "10.0.0.1@7(100 app) -> 10.0.0.8:5432 refused 1", "10.0.0.1@7(100 app) -> 10.0.0.9:80 gave-up 1",
		"10.0.0.1@7(100 app) -> 10.0.0.9:80 refused 1", "10.0.0.1@7"+processesText(100, 163)+" -> 10.0.0.9:5432 refused 100",
		"10.0.0.3@7(100 app) -> 10.0.0.9:5432 refused 1", "10.0.0.3@8(100 app) -> 10.0.0.9:5432 refused 1",
		"127.0.0.1@7(100 app) -> 127.0.0.1:5432 refused 1")
	if n := r.Attempts[len(r.Attempts)-1].To.Netns; n != 7 {
		t.Errorf("the other end of loopback is in namespace %d", n)
	}
}

// processesText returns the processes from one number to another.
func processesText(from, to int) (s string) {
	for pid := from; pid <= to; pid++ {
		s += fmt.Sprintf("(%d app)", pid)
	}
	return s
}

// The namespace of an attempt's client follows the rules for that of a connection's.
func TestNamespaceOfAttempts(t *testing.T) {
	h := newMachineHost(t)
	h.Walk(reportertest.Socket{Netns: 8, Row: "10.0.0.1:9000>10.0.0.3:443"})
	shell(h)
	newProcess(h, 100, 50, "ztunnel")
	try(h, 100, 1, "10.0.0.1", "10.0.0.9:5432")
	fail(h, 100, 1, "10.0.0.1:40000>10.0.0.9:5432", softIRQ)
	wantAttempts(h, "10.0.0.1@0(100 ztunnel) -> 10.0.0.9:5432 refused 1")
}

// The report has the names of an attempt's server.
func TestNamesOfAttempts(t *testing.T) {
	h := newMachineHost(t)
	h.Put(capture.KindReverseName, 4, &capture.ReverseName{Addr: "10.0.0.9", Names: []string{"db.internal"}})
	shell(h)
	try(h, 50, 1, "10.0.0.1", "10.0.0.9:5432")
	fail(h, 50, 1, "10.0.0.1:40000>10.0.0.9:5432", softIRQ)
	if r := wantAttempts(h, "10.0.0.1@7(50 bash) -> 10.0.0.9:5432 refused 1"); len(r.Names) != 1 {
		t.Errorf("%+v", r.Names)
	}
}

// The attempts of a report are bounded. The tries of further ones are counted.
func TestTooManyAttempts(t *testing.T) {
	h := newMachineHost(t)
	for i := range maxAttempts + 30 {
		server := fmt.Sprintf("10.1.%d.%d:80", i>>8, i&0xff)
		for socket := range uint64(2) {
			try(h, 1, socket, "10.0.0.1", server)
			fail(h, 1, socket, "10.0.0.1:40000>"+server, softIRQ)
		}
	}
	r := h.Report()
	if len(r.Attempts) != maxAttempts || len(r.HostEvents) != 1 || r.HostEvents[0].Count != 60 || r.HostEvents[0].At != r.At {
		t.Errorf("%d attempts, %+v", len(r.Attempts), r.HostEvents)
	}
	if h.Pass(3); len(h.Report().HostEvents) != 0 {
		t.Error("the tries are counted twice")
	}
}
