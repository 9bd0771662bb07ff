package events

import (
	"fmt"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/sockmsg"
)

func TestKernelsThatFlagBottomHalves(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.44-fc": true, "6.1.0-57-cloud-amd64": true, "5.19": true, "5.19-rc1": true, "7.0": true,
		"5.18.19": false, "4.18.0-553.el8_10.x86_64": false, "": false, "x": false, "6": false, ".": false,
	} {
		k := New()
		if k.SetKernel(release); k.flagged != want {
			t.Errorf("%q: %v", release, k.flagged)
		}
	}
}

// A process that ended is known until so many others have ended, and a list does not replace
// what events show.
func TestProcessesThatEnded(t *testing.T) {
	k := newProcesses()
	fork := func(pid uint32) bool { return k.apply(&sockmsg.Process{Kind: sockmsg.Fork, PID: pid, TID: pid}) }
	end := func(pid uint32) { k.apply(&sockmsg.Process{Kind: sockmsg.Exit, PID: pid, TID: pid}) }
	fork(1)
	k.apply(&sockmsg.Process{Kind: sockmsg.Comm, PID: 1, TID: 1, Comm: "one"})
	end(1)
	for pid := uint32(2); pid < 2+maxExited; pid++ {
		if k.byPID[1] == nil {
			t.Fatalf("forgotten after %d", pid)
		}
		fork(pid)
		end(pid)
	}
	if k.byPID[1] != nil || len(k.byPID) != maxExited || len(k.exits) != maxExited {
		t.Errorf("%d processes, %d exits", len(k.byPID), len(k.exits))
	}
	fork(5) // its number is used again
	k.apply(&sockmsg.Process{Kind: sockmsg.Comm, PID: 5, TID: 5, Comm: "five"})
	k.snapshot(&capture.ProcSockets{Netns: 7, Processes: []capture.Process{{PID: 5, Comm: "old"}, {PID: 9_000_000, Comm: "new"}}})
	if p, q := k.byPID[5], k.byPID[9_000_000]; p.comm != "five" || p.netns != 7 || q.comm != "new" || q.netns != 7 {
		t.Errorf("%+v, %+v", p, q)
	}
	for pid := uint32(1); ; pid++ {
		if !fork(10_000_000 + pid) {
			break
		}
		if pid > maxKnown {
			t.Fatalf("%d processes are kept", len(k.byPID))
		}
	}
	if len(k.byPID) != maxKnown || k.byPID[5] == nil || k.byPID[9_000_000] == nil {
		t.Errorf("%d processes", len(k.byPID))
	}
	end(5)
	if !fork(3) || k.byPID[5] != nil {
		t.Error("there is no room for a process although another one has ended")
	}
}

// The layout of a tape's samples is that of its format record.
func TestFormatOfTheTape(t *testing.T) {
	k := New()
	for text, want := range map[string]Outcome{"": Undecodable, "field:int x;\toffset:0;\tsize:4;\tsigned:1;": Undecodable, fmt.Sprint(1e9): Undecodable} {
		if got := k.SetFormat(&capture.SocketFormat{Text: []byte(text)}); got != want || k.text != nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	if _, what := k.Event(&capture.Record{Kind: capture.KindSocketEvent, Payload: []byte{1}}, 0, false); what != Undecodable {
		t.Errorf("a short sample: %v", what)
	}
}
