package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/tools/netlab"
)

// A collection is a run of the collect script in the gateway.
type collection struct {
	t      *testing.T
	cmd    *exec.Cmd
	tar    string
	stderr bytes.Buffer
}

// collect starts the script that topotape prints, by the instructions at its beginning,
// and waits until it records.
func collect(t *testing.T, lab *netlab.Lab, bin string, shell ...string) *collection {
	for _, tool := range []string{"conntrack", "tcpdump", shell[0]} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: tools/deps.sh test installs it", tool)
		}
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "collect.sh")
	if err := os.WriteFile(script, topotape(t, 0, nil, bin, "help", "collect"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &collection{t: t, tar: filepath.Join(dir, "evidence.tar")}
	out, err := os.Create(c.tar)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c.cmd = lab.Command(lab.Gateway, shell[0], append(shell[1:], script, "300", "1")...)
	c.cmd.Env = append(os.Environ(), "TMPDIR="+dir, "TZ=Asia/Tokyo", "LC_ALL=de_DE.UTF-8")
	c.cmd.Stdout, c.cmd.Stderr = out, &c.stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	c.until(func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "topotape.*/topotape-evidence/proc/1"))
		return len(found) == 1
	})
	return c
}

func (c *collection) until(done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("the collect script printed: %s", c.stderr.Bytes())
		}
	}
}

// walks waits until the script has begun and ended another walk of /proc. On a busy
// machine the script pauses for a long time after each walk.
func (c *collection) walks() {
	c.t.Helper()
	times := func() string {
		found, _ := filepath.Glob(filepath.Join(filepath.Dir(c.tar), "topotape.*/topotape-evidence/times"))
		if len(found) != 1 {
			c.t.Fatalf("the script's times: %v", found)
		}
		b, err := os.ReadFile(found[0])
		if err != nil {
			c.t.Fatal(err)
		}
		return string(b)
	}
	begun := 0
	for strings.Contains(times(), fmt.Sprintf("begin proc/%d\n", begun+1)) {
		begun++
	}
	c.until(func() bool { return strings.Contains(times(), fmt.Sprintf("end proc/%d\n", begun+1)) })
}

// stop ends the script as Ctrl-C would.
func (c *collection) stop() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil || c.stderr.Len() > 0 {
		c.t.Errorf("the collect script: %v: %s", err, c.stderr.Bytes())
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(c.tar), "topotape.*"))
	if len(left) > 0 {
		c.t.Errorf("the collect script left %v", left)
	}
}

// The tape that is built from the script's output has the connections of the truth, and
// those of a recorder's tape of the same time.
func TestCollectedLabIsTheTruth(t *testing.T) {
	lab, bin := newLab(t)
	r := record(t, lab, bin)
	c := collect(t, lab, bin, "dash")
	markers, err := newMarkerSource(lab.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer markers.conn.Close()
	plan := gently(netlab.DefaultPlan())
	var held []*netlab.Held // until both have walked /proc
	plan.Patterns = slices.DeleteFunc(plan.Patterns, func(p netlab.Pattern) bool {
		if p.Hold != netlab.WholePlan {
			return false
		}
		h, err := lab.Hold(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, h)
		return true
	})
	truth, err := lab.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	c.walks()
	if err := r.passes(markers, 1); err != nil {
		t.Fatal(err)
	}
	c.stop()
	if code := r.stop(); code != 0 {
		t.Fatalf("record: exit code %d", code)
	}
	for _, h := range held {
		truth = append(truth, h.Conns()...)
	}

	tape := filepath.Join(t.TempDir(), "built.tape")
	t.Logf("%s", topotape(t, 0, nil, bin, "build", c.tar, "-o", tape))
	built := whole(t, bin, tape)
	res := netlab.Compare(truth, built.Report, netlab.Window{})
	t.Log(res.Summary(20))
	if lost := lossOf(t, tape); lost != "" {
		// A busy machine. The tape reports the loss, and its connections must be right.
		t.Logf("conntrack lost events (%s); only false connections count", lost)
		if len(res.False)+len(res.Reversed)+len(res.Misplaced) > 0 || len(res.Found) < 500 {
			t.Error(res)
		}
		return
	}
	if err := res.Err(); err != nil || len(res.Found) == 0 {
		t.Error(err)
	}
	if len(res.Unnamed) > 0 {
		t.Errorf("%d connections without the name that the client looked up", len(res.Unnamed))
	}
	// The connections that were open all the time have processes at both ends.
	if want := 2 * 40; res.Owned < want {
		t.Errorf("%d ends have a process, want %d", res.Owned, want)
	}

	recorded := whole(t, bin, r.tape)
	want, got := recorded.edges(), built.edges()
	for e := range want {
		if _, ok := got[e]; !ok {
			t.Errorf("recorded, not built: %s", e)
		}
	}
	for e, processes := range got {
		have, ok := want[e]
		if !ok {
			t.Errorf("built, not recorded: %s", e)
		}
		if processes != "" && have != "" && processes != have {
			t.Errorf("%s: built has %s, recorded %s", e, processes, have)
		}
	}
}

// lossOf returns the reason of the last gap on the tape, "" without gaps.
func lossOf(t *testing.T, tape string) (lost string) {
	if err := scan(tape, func(r *capture.Record) {
		var g capture.Gap
		if r.Kind == capture.KindGap && r.Decode(&g) == nil {
			lost = g.Why
		}
	}); err != nil {
		t.Fatal(err)
	}
	return lost
}

// gently spreads a plan's traffic over time, so that conntrack's socket buffer does not
// overflow: it has room for 166 events, and option -b has no effect in 1.4.7.
func gently(plan netlab.Plan) netlab.Plan {
	for i := range plan.Patterns {
		p := &plan.Patterns[i]
		p.After = time.Duration(i) * 200 * time.Millisecond
		p.Over = max(p.Over, time.Duration(p.Count)*25*time.Millisecond)
	}
	return plan
}

// A wholeReport is the report of replay --whole, with the NAT.
type wholeReport struct {
	netlab.Report
	nat []string // by connection
}

func whole(t *testing.T, bin, tape string) (w wholeReport) {
	out := topotape(t, 0, nil, bin, "replay", "--whole", "--format", "json", tape)
	var err error
	if w.Report, err = netlab.ReadReport(bytes.NewReader(out)); err != nil {
		t.Fatal(err)
	}
	var nat struct {
		Connections []struct{ NAT json.RawMessage }
	}
	if err := json.Unmarshal(out, &nat); err != nil {
		t.Fatal(err)
	}
	for _, c := range nat.Connections {
		w.nat = append(w.nat, strings.Join(strings.Fields(string(c.NAT)), ""))
	}
	return w
}

// edges returns the connections that conntrack saw in the gateway, with direction and NAT,
// and with the processes of their ends if both are known.
func (w *wholeReport) edges() map[string]string {
	edges := map[string]string{}
	for i, c := range w.Connections {
		if !slices.Contains(c.Seen, "conntrack") {
			continue
		}
		e := fmt.Sprintf("%s:%d > %s:%d by %s, NAT %s", c.From.Addr, c.From.Port, c.To.Addr, c.To.Port, c.Direction, w.nat[i])
		processes := ""
		if len(c.From.Processes) > 0 && len(c.To.Processes) > 0 {
			processes = fmt.Sprint(c.From.Processes, c.To.Processes)
		}
		edges[e] = processes
	}
	return edges
}

// The script runs in every shell that is installed.
func TestCollectScriptRunsInEveryShell(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "topotape")
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/topotape").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	script := filepath.Join(t.TempDir(), "collect.sh")
	if err := os.WriteFile(script, topotape(t, 0, nil, bin, "help", "collect"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, shell := range [][]string{{"sh"}, {"dash"}, {"bash", "--posix"}, {"busybox", "sh"}, {"ksh"}, {"zsh", "--emulate", "sh"}} {
		path, err := exec.LookPath(shell[0])
		if err != nil {
			continue
		}
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			dir := t.TempDir()
			var stderr bytes.Buffer
			cmd := exec.Command(path, append(shell[1:], script, "0")...)
			cmd.Env = append(os.Environ(), "TMPDIR="+dir)
			cmd.Stderr = &stderr
			evidence, err := cmd.Output()
			if err != nil || stderr.Len() > 0 {
				t.Fatalf("%v: %s", err, stderr.Bytes())
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("the script left %v", left)
			}
			input, tape := filepath.Join(dir, "evidence.tar"), filepath.Join(dir, "built.tape")
			if err := os.WriteFile(input, evidence, 0o600); err != nil {
				t.Fatal(err)
			}
			topotape(t, 0, nil, bin, "build", input, "-o", tape)
			kinds := map[capture.Kind]int{}
			if err := scan(tape, func(r *capture.Record) { kinds[r.Kind]++ }); err != nil {
				t.Fatal(err)
			}
			for _, k := range []capture.Kind{capture.KindHost, capture.KindWalkBegin, capture.KindProcNet, capture.KindProcSockets, capture.KindWalkEnd, capture.KindTick} {
				if kinds[k] == 0 {
					t.Errorf("no %s on the tape", k)
				}
			}
			again := topotape(t, 0, nil, bin, "build", input, "-o", "-")
			if b, err := os.ReadFile(tape); err != nil || !bytes.Equal(b, again) {
				t.Errorf("a second build gave other bytes, %v", err)
			}
		})
	}
}
