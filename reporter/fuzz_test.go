package reporter

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/reportertest"
)

// FuzzStep steps reporters with arbitrary records in any order. It checks what is true of every
// report, and that a report does not depend on the reports before it. The input is a program, see
// reportertest.ProgramRecords.
func FuzzStep(f *testing.F) {
	f.Add([]byte{200, 1, 0, 200, 3, 1, 2, 1, 0})
	f.Add(reportertest.RandomProgram(1))
	f.Add(reportertest.RandomProgram(2))
	f.Add([]byte{4, 1, 0, 230, 2, 7, 6, 1, 0, 8, 2, 1, 0x90, 210, 5, 9, 9, 2, 1, 0x90, 2, 0, 1, 0x90, 15, 1, 1, 0x90, 2, 0, 1, 0x90})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 1<<12 {
			return
		}
		playTwice(t, program)
	})
}

// playTwice makes every report, then every third one only, under all rules, and compares them.
func playTwice(t *testing.T, program []byte) {
	for _, rules := range []string{RulesCurrent, RulesScope2016} {
		all, some := play(t, rules, program, 1), play(t, rules, program, 3)
		for tick := range some {
			if some[tick] != nil && !bytes.Equal(all[tick], some[tick]) {
				t.Errorf("%s: tick %d:\n%s\nwithout the reports before it:\n%s", rules, tick, all[tick], some[tick])
				return
			}
		}
	}
}

func TestRecordsInAnyOrder(t *testing.T) {
	for seed := range uint64(200) {
		if playTwice(t, reportertest.RandomProgram(seed)); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// play returns the JSON and a digest of every n-th report, and nil for the others.
func play(t *testing.T, rules string, program []byte, n int) [][]byte {
	r, err := New(&capture.Header{HostID: "h"}, rules)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, rec := range reportertest.ProgramRecords(program) {
		if r.Step(&rec) {
			out = append(out, nil)
			if len(out)%n == 0 {
				made := r.Report()
				reportertest.CheckReport(t, made)
				d := made.Digests()
				out[len(out)-1] = binary.BigEndian.AppendUint64(made.AppendJSON(nil), d.Endpoints)
			}
		}
	}
	return out
}
