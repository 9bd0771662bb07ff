package tools

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/tools/netlab"
)

// A replay of the shipped tape gives the reports of its recording, on any machine, while the
// core version is the same. With any core version it gives the connections of the lab.
func TestShippedTape(t *testing.T) {
	const dir = "../fixtures/lab-gateway/"
	tape := []replay.Input{{Name: "capture.tape", Open: func() (io.ReadCloser, error) { return os.Open(dir + "capture.tape") }}}
	sum, err := replay.Run(tape, replay.Options{Reports: replay.None, Verify: true}, func(*report.Report) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if v := sum.Verification; v == nil || v.Witnesses+v.Others == 0 || v.Identical < v.Witnesses || (v.Others > 0) != (sum.Header.Core != reporter.CoreVersion) {
		t.Errorf("verification: %+v", v)
	}
	var whole []byte
	if _, err := replay.Run(tape, replay.Options{Reports: replay.Whole}, func(r *report.Report) error {
		whole = r.AppendJSON(nil)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	rep, err := netlab.ReadReport(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dir + "truth.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	truth, err := netlab.ReadTruth(f)
	if err != nil {
		t.Fatal(err)
	}
	res := netlab.Compare(truth, rep, netlab.Window{})
	if err := res.Err(); err != nil || len(res.Found) < 20 || len(res.Unnamed) > 0 {
		t.Errorf("%v\n%s", err, res.Summary(20))
	}
}
