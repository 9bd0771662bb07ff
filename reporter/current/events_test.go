package current

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/sockmsg"
)

const (
	toServer = "10.0.0.1:40000>10.0.0.2:80" // the client's socket
	atServer = "10.0.0.2:80>10.0.0.1:40000" // the server's
)

// newProcess sends the events of a process that a parent forks and that executes a program.
func newProcess(h *machineHost, pid, parent uint32, comm string) {
	h.Process(sockmsg.Process{Kind: sockmsg.Fork, PID: pid, PPID: parent})
	h.Process(sockmsg.Process{Kind: sockmsg.Comm, PID: pid, Comm: comm, Exec: true})
}

// shell sends the process that starts others.
func shell(h *machineHost) {
	h.Running(7, capture.Process{PID: 2, Comm: "kthreadd"}, capture.Process{PID: 50, PPID: 1, Comm: "bash"})
}

// tracked sends the conntrack messages of a connection from begin to end.
func tracked(h *machineHost, id uint32, tuples string) {
	h.Conntrack(ctmsg.New, id, "SYN_SENT", tuples)
	h.Conntrack(ctmsg.Update, id, "ESTABLISHED", tuples)
	h.Conntrack(ctmsg.Update, id, "TIME_WAIT", tuples)
}

func TestProcessesOfEvents(t *testing.T) {
	listen := func(h *machineHost, pid uint32, socket uint64, netns uint64) {
		if netns != 0 {
			h.Process(sockmsg.Process{Kind: sockmsg.Namespaces, PID: pid, Netns: netns})
		}
		h.Event(reportertest.Event{PID: pid, Socket: socket, Change: "CLOSE>LISTEN", Row: "0.0.0.0:80>0.0.0.0:0"})
	}
	for name, c := range map[string]struct {
		events func(h *machineHost)
		want   []string
	}{
		"b97 a short-lived client": {func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			h.Connect(100, 1, toServer)
			h.Pass(0.005)
			tracked(h, 1, toServer)
			h.Close(100, 1, toServer, false)
			h.Process(sockmsg.Process{Kind: sockmsg.Exit, PID: 100, PPID: 50})
		}, []string{"10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 TIME_WAIT handshake closed"}},
		"b97 through NAT": {func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			tracked(h, 1, "10.0.0.1:40000>10.9.9.9:80 | 10.0.0.2:8080>10.0.0.254:1024")
			h.Connect(100, 1, "10.0.0.1:40000>10.9.9.9:80")
			h.Accept(2, "10.0.0.2:8080>10.0.0.254:1024")
			h.Close(100, 1, "10.0.0.1:40000>10.9.9.9:80", false)
			newProcess(h, 200, 50, "httpd")
			h.Close(200, 2, "10.0.0.2:8080>10.0.0.254:1024", true)
		}, []string{"10.0.0.1:40000@7(100 curl) -> 10.0.0.2:8080@7(200 httpd) TIME_WAIT handshake nat1 closed"}},
		"b98 a worker closes": {func(h *machineHost) {
			newProcess(h, 100, 50, "master")
			newProcess(h, 101, 100, "worker")
			listen(h, 100, 9, 0)
			h.Accept(2, atServer)
			h.Close(101, 2, atServer, true)
		}, []string{"10.0.0.1:40000 -> 10.0.0.2:80@7(101 worker) CLOSE socket closed"}},
		"b99 the listener": {func(h *machineHost) {
			newProcess(h, 100, 50, "httpd")
			listen(h, 100, 9, 0)
			h.Accept(2, atServer)
		}, []string{"10.0.0.1:40000 -> 10.0.0.2:80@7(100 httpd) ESTABLISHED socket"}},
		"b99 several listeners": {func(h *machineHost) {
			newProcess(h, 100, 50, "httpd")
			newProcess(h, 101, 50, "httpd")
			listen(h, 100, 9, 0)
			listen(h, 101, 10, 0)
			h.Accept(2, atServer)
		}, []string{"10.0.0.1:40000 -> 10.0.0.2:80@7(100 httpd)(101 httpd) ESTABLISHED socket"}},
		"listeners in other namespaces": {func(h *machineHost) {
			newProcess(h, 100, 50, "httpd")
			newProcess(h, 101, 50, "httpd")
			listen(h, 100, 9, 8)
			listen(h, 101, 10, 9)
			h.Accept(2, atServer)
		}, []string{"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED socket"}},
		"a listener that is gone": {func(h *machineHost) {
			newProcess(h, 100, 50, "httpd")
			listen(h, 100, 9, 0)
			h.Event(reportertest.Event{PID: 100, Socket: 9, Change: "LISTEN>CLOSE", Row: "0.0.0.0:80>0.0.0.0:0"})
			h.Accept(2, atServer)
		}, []string{"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED socket"}},
		"the listener of a table": {func(h *machineHost) {
			l := reportertest.Listen(7, "10.0.0.2:80")
			l.Inode, l.Processes = 77, []report.Process{{PID: 300, Comm: "old"}}
			h.Walk(l, reportertest.Socket{Netns: 7, Row: "10.0.0.2:22>10.0.0.9:9000", Inode: 78})
			h.Accept(2, atServer)
		}, []string{"10.0.0.1:40000 -> 10.0.0.2:80@7(300 old) ESTABLISHED socket", "10.0.0.9:9000 -> 10.0.0.2:22@7 ESTABLISHED port-order"}},
		"b100 pid reuse": {func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			h.Connect(100, 1, toServer)
			h.Close(100, 1, toServer, false)
			h.Process(sockmsg.Process{Kind: sockmsg.Exit, PID: 100, PPID: 50})
			newProcess(h, 100, 50, "wget")
			h.Connect(100, 1, "10.0.0.1:40001>10.0.0.2:80")
			h.Close(100, 1, "10.0.0.1:40001>10.0.0.2:80", false)
		}, []string{"10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 CLOSE socket closed", "10.0.0.1:40001@7(100 wget) -> 10.0.0.2:80 CLOSE socket closed"}},
		"b101 both ends": {func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			newProcess(h, 200, 50, "httpd")
			listen(h, 200, 9, 0)
			h.Connect(100, 1, toServer)
			h.Accept(2, atServer)
		}, []string{"10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80@7(200 httpd) ESTABLISHED socket"}},
		"b101 NAT that no source shows": {func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			h.Connect(100, 1, "10.0.0.1:40000>10.9.9.9:80")
			h.Accept(2, atServer)
		}, []string{"10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED socket", "10.0.0.1:40000@7(100 curl) -> 10.9.9.9:80 ESTABLISHED socket"}},
		"b102 a row has another namespace": {func(h *machineHost) {
			newProcess(h, 100, 50, "ztunnel")
			h.Connect(100, 1, toServer)
			h.Pass(1)
			h.Walk(reportertest.Socket{Netns: 8, Row: toServer, Inode: 5, Processes: []report.Process{{PID: 100, Comm: "ztunnel"}}})
		}, []string{"10.0.0.1:40000@8(100 ztunnel) -> 10.0.0.2:80 ESTABLISHED socket"}},
		"b102 the address is elsewhere": {func(h *machineHost) {
			h.Walk(reportertest.Socket{Netns: 8, Row: "10.0.0.1:9000>10.0.0.3:443"})
			newProcess(h, 100, 50, "ztunnel")
			h.Connect(100, 1, toServer)
		}, []string{"10.0.0.1:9000@8 -> 10.0.0.3:443 ESTABLISHED port-order", "10.0.0.1:40000(100 ztunnel) -> 10.0.0.2:80 ESTABLISHED socket"}},
		"threads hint at two namespaces of an address": {func(h *machineHost) {
			newProcess(h, 100, 50, "a")
			newProcess(h, 101, 50, "b")
			h.Process(sockmsg.Process{Kind: sockmsg.Namespaces, PID: 101, Netns: 8})
			h.Process(sockmsg.Process{Kind: sockmsg.Namespaces, PID: 101, Netns: 9})
			h.Connect(100, 1, toServer)
			h.Connect(100, 2, "10.0.0.1:40001>10.0.0.2:80")
			h.Connect(101, 3, "10.0.0.1:40002>10.0.0.2:80")
		}, []string{"10.0.0.1:40000@7(100 a) -> 10.0.0.2:80 ESTABLISHED socket", "10.0.0.1:40001@7(100 a) -> 10.0.0.2:80 ESTABLISHED socket",
			"10.0.0.1:40002(101 b) -> 10.0.0.2:80 ESTABLISHED socket"}},
		"b102 the table lacks it": {func(h *machineHost) {
			newProcess(h, 100, 50, "ztunnel")
			h.Connect(100, 1, toServer)
			h.Pass(1)
			h.Walk(reportertest.Listen(7, "10.0.0.7:22"))
		}, []string{"10.0.0.1:40000(100 ztunnel) -> 10.0.0.2:80 ESTABLISHED socket"}},
		"b103 a passed socket": {func(h *machineHost) {
			newProcess(h, 100, 50, "opener")
			newProcess(h, 90, 50, "user")
			h.Connect(100, 1, toServer)
			h.Close(90, 1, toServer, false)
		}, []string{"10.0.0.1:40000@7(100 opener)(90 user) -> 10.0.0.2:80 CLOSE socket closed"}},
		"b104 a stranger's context": {func(h *machineHost) {
			newProcess(h, 99, 50, "pasta")
			h.Event(reportertest.Event{PID: 99, Socket: 2, Change: "SYN_RECV>ESTABLISHED", Row: atServer, Flags: sockmsg.FlagBHOff})
			h.Event(reportertest.Event{PID: 99, Socket: 2, Change: "ESTABLISHED>FIN_WAIT1", Row: atServer, Flags: sockmsg.FlagBHOff})
		}, []string{"10.0.0.1:40000 -> 10.0.0.2:80 FIN_WAIT1 socket"}},
		"b105 no flag of bottom halves": {func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			h.Event(reportertest.Event{PID: 100, Socket: 1, Change: "CLOSE>SYN_SENT", Row: "10.0.0.1:0>10.0.0.2:80"})
			h.Event(reportertest.Event{PID: 99, Socket: 1, Change: "SYN_SENT>ESTABLISHED", Row: toServer, Flags: sockmsg.FlagSoftIRQ})
			h.Event(reportertest.Event{PID: 99, Socket: 2, Change: "SYN_RECV>ESTABLISHED", Row: atServer, Flags: sockmsg.FlagSoftIRQ})
			h.Close(99, 2, atServer, false)
		}, []string{"10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 ESTABLISHED socket"}},
		"b106 destroyed by another": {func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			newProcess(h, 300, 50, "ss")
			h.Connect(100, 1, toServer)
			h.Event(reportertest.Event{PID: 300, Socket: 1, Change: "ESTABLISHED>CLOSE", Row: toServer})
			h.Accept(2, "10.0.0.2:81>10.0.0.1:1")
			h.Event(reportertest.Event{PID: 300, Socket: 2, Change: "ESTABLISHED>CLOSE", Row: "10.0.0.2:81>10.0.0.1:1"})
		}, []string{"10.0.0.1:1 -> 10.0.0.2:81 CLOSE socket closed", "10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 CLOSE socket closed"}},
		"b107 a kernel thread": {func(h *machineHost) {
			h.Process(sockmsg.Process{Kind: sockmsg.Fork, PID: 30, PPID: 2})
			h.Process(sockmsg.Process{Kind: sockmsg.Comm, PID: 30, Comm: "kworker/0:1"})
			h.Connect(30, 1, toServer)
		}, []string{"10.0.0.1:40000(0 kernel) -> 10.0.0.2:80 ESTABLISHED socket"}},
		"a helper that the kernel starts": {func(h *machineHost) {
			newProcess(h, 30, 2, "modprobe")
			h.Connect(30, 1, toServer)
		}, []string{"10.0.0.1:40000@7(30 modprobe) -> 10.0.0.2:80 ESTABLISHED socket"}},
		"b108 a thread": {func(h *machineHost) {
			newProcess(h, 100, 50, "java")
			h.Process(sockmsg.Process{Kind: sockmsg.Comm, PID: 100, TID: 105, Comm: "http-pool-1"})
			h.Event(reportertest.Event{PID: 100, TID: 105, Socket: 1, Change: "CLOSE>SYN_SENT", Row: "10.0.0.1:0>10.0.0.2:80"})
			h.Event(reportertest.Event{PID: 0, Socket: 1, Change: "SYN_SENT>ESTABLISHED", Row: toServer, Flags: sockmsg.FlagSoftIRQ})
		}, []string{"10.0.0.1:40000@7(100 java) -> 10.0.0.2:80 ESTABLISHED socket"}},
		"a thread in another namespace": {func(h *machineHost) {
			newProcess(h, 100, 50, "agent")
			h.Process(sockmsg.Process{Kind: sockmsg.Namespaces, PID: 100, TID: 105, Netns: 8})
			h.Event(reportertest.Event{PID: 100, TID: 105, Socket: 1, Change: "CLOSE>SYN_SENT", Row: "10.0.8.1:0>10.0.0.2:80"})
			h.Event(reportertest.Event{PID: 0, Socket: 1, Change: "SYN_SENT>ESTABLISHED", Row: "10.0.8.1:40000>10.0.0.2:80", Flags: sockmsg.FlagSoftIRQ})
			h.Connect(100, 2, "10.0.0.1:40001>10.0.0.2:80")
		}, []string{"10.0.0.1:40001@7(100 agent) -> 10.0.0.2:80 ESTABLISHED socket", "10.0.8.1:40000@8(100 agent) -> 10.0.0.2:80 ESTABLISHED socket"}},
		"a process that dies before the answer": {func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			h.Event(reportertest.Event{PID: 100, Socket: 1, Change: "CLOSE>SYN_SENT", Row: "10.0.0.1:0>10.0.0.2:80"})
			h.Event(reportertest.Event{PID: 100, Socket: 1, Change: "SYN_SENT>CLOSE", Row: toServer})
		}, nil},
		"both connect at once": {func(h *machineHost) {
			newProcess(h, 100, 50, "a")
			newProcess(h, 200, 50, "b")
			for i, row := range []string{toServer, atServer} {
				h.Event(reportertest.Event{PID: uint32(i+1) * 100, Socket: uint64(i), Change: "CLOSE>SYN_SENT", Row: row})
			}
			h.Accept(0, toServer)
			h.Accept(1, atServer)
		}, []string{"10.0.0.1:40000@7(100 a) -> 10.0.0.2:80@7(200 b) ESTABLISHED socket"}},
		"paths of MPTCP": {func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			h.Process(sockmsg.Process{Kind: sockmsg.Fork, PID: 30, PPID: 2})
			h.Event(reportertest.Event{PID: 100, Socket: 3, Change: "CLOSE>SYN_SENT", Row: "10.0.0.1:0>10.0.0.2:80", Protocol: sockmsg.MPTCP})
			h.Connect(100, 1, toServer)
			h.Connect(30, 2, "10.0.1.1:40000>10.0.0.2:80")
		}, []string{"10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 ESTABLISHED socket", "10.0.1.1:40000 -> 10.0.0.2:80 ESTABLISHED socket"}},
		"names are unknown after a loss": {func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			h.Put(capture.KindGap, 5, &capture.Gap{Lost: 1})
			h.Connect(100, 1, toServer)
			h.Running(7, capture.Process{PID: 100, Comm: "wget"})
			h.Connect(100, 2, "10.0.0.1:40001>10.0.0.2:80")
		}, []string{"10.0.0.1:40000(100 ) -> 10.0.0.2:80 ESTABLISHED socket", "10.0.0.1:40001@7(100 wget) -> 10.0.0.2:80 ESTABLISHED socket"}},
		"a dump entry gets its direction": {func(h *machineHost) {
			newProcess(h, 100, 50, "curl")
			h.Connect(100, 1, toServer)
			h.Pass(1)
			h.Dump(map[uint32]string{1: atServer})
		}, []string{"10.0.0.1:40000@7(100 curl) -> 10.0.0.2:80 ESTABLISHED socket"}},
		"tables add their owners": {func(h *machineHost) {
			newProcess(h, 100, 50, "opener")
			h.Connect(100, 1, toServer)
			h.Pass(1)
			h.Walk(reportertest.Socket{Netns: 7, Row: toServer, Inode: 5, Processes: []report.Process{{PID: 90, Comm: "user"}, {PID: 100, Comm: "opener"}}})
		}, []string{"10.0.0.1:40000@7(100 opener)(90 user) -> 10.0.0.2:80 ESTABLISHED socket"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newMachineHost(t)
			shell(h)
			c.events(h)
			h.Pass(1)
			h.Want(c.want...)
		})
	}
}
