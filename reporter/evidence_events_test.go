package reporter

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// The events of open sockets and of running processes are selected, and nothing of those that ended.
func TestEvidenceOfSocketEvents(t *testing.T) {
	const row = "10.0.0.1:4000>10.0.0.2:80"
	h, e := evidenceHost(t)
	h.Put(capture.KindSocketFormat, 5, &capture.SocketFormat{Text: []byte(reportertest.UsualFormatText)}) // 1
	h.Running(7, capture.Process{PID: 50, Comm: "bash"})                                                  // 2
	h.Process(sockmsg.Process{Kind: sockmsg.Fork, PID: 100, PPID: 50})                                    // 3
	h.Process(sockmsg.Process{Kind: sockmsg.Comm, PID: 100, Comm: "a"})                                   // 4
	h.Process(sockmsg.Process{Kind: sockmsg.Comm, PID: 100, Comm: "curl"})                                // 5
	h.Process(sockmsg.Process{Kind: sockmsg.Comm, PID: 100, TID: 101, Comm: "thread"})                    // 6
	h.Connect(100, 1, row)                                                                                // 7, 8
	h.wantEvidence(e, "1 2 3 5 7 8")
	h.Close(100, 1, row, false) // 9, 10
	h.wantEvidence(e, "1 2 3 5")
	h.Process(sockmsg.Process{Kind: sockmsg.Exit, PID: 100, PPID: 50}) // 11
	h.wantEvidence(e, "1 2")
	h.Process(sockmsg.Process{Kind: sockmsg.Fork, PID: 102, PPID: 50}) // 12
	h.Put(capture.KindGap, 5, &capture.Gap{Lost: 1})                   // 13
	h.wantEvidence(e, "1 13")
	h.Running(7, capture.Process{PID: 50, Comm: "bash"}) // 14
	h.Running(8, capture.Process{PID: 60, Comm: "bash"}) // 15
	h.wantEvidence(e, "1 13 14 15")
}

// A core that reads the selected records shows the same processes as one that read all.
func TestEvidenceOfSocketEventsIsEnough(t *testing.T) {
	const row = "10.0.0.1:4000>10.0.0.2:80"
	h, e := evidenceHost(t)
	h.Running(7, capture.Process{PID: 50, Comm: "bash"})
	h.Process(sockmsg.Process{Kind: sockmsg.Fork, PID: 100, PPID: 50})
	h.Process(sockmsg.Process{Kind: sockmsg.Comm, PID: 100, Comm: "curl", Exec: true})
	h.Connect(100, 1, row)
	h.Event(reportertest.Event{PID: 50, Socket: 9, Change: "CLOSE>LISTEN", Row: "10.0.0.1:81>0.0.0.0:0"})
	h.Report()
	later := newHost(t)
	for r := range e.Records(h.At) {
		later.At, later.Seq = r.At, r.Seq-1
		later.Raw(r.Kind, r.Source, r.Payload)
	}
	for _, h := range [...]*host{h, later} {
		h.Accept(2, "10.0.0.1:81>10.0.0.3:1")
		h.Pass(1)
		h.Want("10.0.0.1:4000@7(100 curl) -> 10.0.0.2:80 ESTABLISHED socket", "10.0.0.3:1 -> 10.0.0.1:81@7(50 bash) ESTABLISHED socket")
	}
}
