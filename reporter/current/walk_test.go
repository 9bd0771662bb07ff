package current

import (
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/reportertest"
)

func TestWalks(t *testing.T) {
	h := newMachineHost(t)
	h.Walk(reportertest.Socket{Netns: 1, Row: reportertest.Plain, Inode: 11, Processes: curl}, reportertest.Socket{Netns: 2, Row: "10.0.0.9:4000>10.0.0.2:81"})
	h.Pass(1).WalkBegin()
	h.Tables(reportertest.Socket{Netns: 2, Row: "10.0.0.9:4001>10.0.0.2:81"})
	h.Want("10.0.0.1:40000@1(100 curl) -> 10.0.0.2:80 ESTABLISHED port-order",
		"10.0.0.9:4000@2 -> 10.0.0.2:81 ESTABLISHED port-order") // the walk has not ended
	h.Put(capture.KindProcUnchanged, 2, &capture.ProcUnchanged{Netns: 1, Table: "tcp", Checked: h.At})
	h.WalkEnd()
	r := h.Want("10.0.0.1:40000@1 -> 10.0.0.2:80 ESTABLISHED port-order", // the owners are from this walk
		"10.0.0.9:4000@2 -> 10.0.0.2:81 ESTABLISHED port-order closed",
		"10.0.0.9:4001@2 -> 10.0.0.2:81 ESTABLISHED port-order")
	if c := r.Connections[0]; c.FirstSeen != 0 || c.LastSeen != 1e9 {
		t.Errorf("%+v", c)
	}
	h.Put(capture.KindGap, 2, &capture.Gap{Lost: 1, Why: "walk skipped"})
	r = h.Want("10.0.0.1:40000@1 -> 10.0.0.2:80 ESTABLISHED port-order maybe",
		"10.0.0.9:4001@2 -> 10.0.0.2:81 ESTABLISHED port-order maybe")
	if c := reportertest.CoverageOf(r, "proc"); c.State != report.CoverageDegraded || c.Why != "walk skipped" {
		t.Errorf("%+v", c)
	}
	h.Pass(1).Walk(reportertest.Socket{Netns: 2, Row: "10.0.0.9:4001>10.0.0.2:81"})
	r = h.Want("10.0.0.1:40000@1 -> 10.0.0.2:80 ESTABLISHED port-order closed",
		"10.0.0.9:4001@2 -> 10.0.0.2:81 ESTABLISHED port-order")
	if c := reportertest.CoverageOf(r, "proc"); c.State != report.CoverageOK {
		t.Errorf("%+v", c)
	}
}
