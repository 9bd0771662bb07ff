package current

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

func TestAllOwnersAreListed(t *testing.T) {
	h := newMachineHost(t)
	h.Walk(reportertest.Socket{Netns: 1, Row: reportertest.Plain, Inode: 9, Processes: []report.Process{{PID: 302, Comm: "worker"}, {PID: 301, Comm: "worker"}, {PID: 300, Comm: "master"}}},
		reportertest.Socket{Netns: 2, Row: "10.0.0.5:1>10.0.0.6:1000", Inode: 9}) // a process in another namespace may have the socket open
	h.Want("10.0.0.1:40000@1(300 master)(301 worker)(302 worker) -> 10.0.0.2:80 ESTABLISHED port-order",
		"10.0.0.6:1000 -> 10.0.0.5:1@2(300 master)(301 worker)(302 worker) ESTABLISHED port-order")
}

func TestOwnersOfSeveralNamespaces(t *testing.T) {
	h := newMachineHost(t)
	// Processes in two namespaces have one socket open: all of them are listed.
	h.WalkBegin()
	h.Tables(reportertest.Socket{Netns: 1, Row: reportertest.Plain, Inode: 9, Processes: []report.Process{{PID: 300, Comm: "master"}}}, reportertest.Socket{Netns: 2, Row: "10.0.0.5:1>10.0.0.6:1000", Inode: 10})
	h.Put(capture.KindProcSockets, 2, &capture.ProcSockets{Netns: 2, Processes: []capture.Process{{PID: 301, Comm: "worker", Inodes: []uint64{9, 10}}}})
	h.WalkEnd()
	h.Want("10.0.0.1:40000@1(300 master)(301 worker) -> 10.0.0.2:80 ESTABLISHED port-order",
		"10.0.0.6:1000 -> 10.0.0.5:1@2(301 worker) ESTABLISHED port-order")
	// Sockets of two namespaces have one inode: each has the owners in its namespace.
	h.Pass(1).Walk(reportertest.Socket{Netns: 1, Row: reportertest.Plain, Inode: 9, Processes: []report.Process{{PID: 300, Comm: "master"}}},
		reportertest.Socket{Netns: 2, Row: "10.0.0.5:1>10.0.0.6:1000", Inode: 9, Processes: []report.Process{{PID: 301, Comm: "worker"}}})
	h.Want("10.0.0.1:40000@1(300 master) -> 10.0.0.2:80 ESTABLISHED port-order",
		"10.0.0.6:1000 -> 10.0.0.5:1@2(301 worker) ESTABLISHED port-order closed",
		"10.0.0.6:1000 -> 10.0.0.5:1@2(301 worker) ESTABLISHED port-order")
}
