package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ti-mo/conntrack"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/tools/netlab"
)

func TestMain(m *testing.M) {
	netlab.RunWorkerIfAsked()
	os.Exit(m.Run())
}

// newLab builds the network lab, and the topotape command.
func newLab(t *testing.T) (*netlab.Lab, string) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it builds network namespaces")
	}
	bin := filepath.Join(t.TempDir(), "topotape")
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/topotape").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	lab, err := netlab.New(t.Context(), netlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab, bin
}

// A recording runs in the gateway.
type recording struct {
	t      *testing.T
	cmd    *exec.Cmd
	tape   string
	stderr bytes.Buffer
}

func record(t *testing.T, lab *netlab.Lab, bin string, args ...string) *recording {
	r := &recording{t: t, tape: filepath.Join(t.TempDir(), "lab.tape")}
	r.cmd = lab.Command(lab.Gateway, bin, append([]string{"record", "-o", r.tape, "--host-id", "gateway", "--interval", "1s", "--duration", "5m"}, args...)...)
	r.cmd.Stderr = &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	// When the first dump, or a list of processes, is on the tape, the recorder has subscribed to events.
	ready := capture.KindDumpEnd
	if at := slices.Index(args, "--sources"); at >= 0 && !strings.Contains(args[at+1], "conntrack") {
		ready = capture.KindProcesses
	}
	r.until(ready.String(), func(rec *capture.Record) bool { return rec.Kind == ready })
	return r
}

// until waits for a record on the tape that is being written.
func (r *recording) until(what string, is func(*capture.Record) bool) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		found := false
		_ = scan(r.tape+".partial", func(rec *capture.Record) { found = found || is(rec) })
		if found {
			return
		}
	}
	r.t.Fatalf("no %s on the tape after 30 s; the recorder printed:\n%s", what, r.stderr.String())
}

// stop ends the recording as Ctrl-C would, and returns its exit code.
func (r *recording) stop() int {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		r.t.Fatal(err)
	}
	err := r.cmd.Wait()
	r.t.Logf("the recorder printed:\n%s", r.stderr.String())
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return r.cmd.ProcessState.ExitCode()
}

func scan(recorded string, visit func(*capture.Record)) error {
	f, err := os.Open(recorded)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := tape.NewReader(f)
	if err != nil {
		return err
	}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		visit(&rec)
	}
}

// topotape runs a verb. Another exit code fails the test.
func topotape(t *testing.T, code int, env []string, bin string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("topotape %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stderr.Bytes(), out.Bytes())
	}
	return out.Bytes()
}

func TestRecordedLabIsTheTruth(t *testing.T) {
	lab, bin := newLab(t)
	r := record(t, lab, bin)
	plan := netlab.DefaultPlan()
	truth, err := lab.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if code := r.stop(); code != 0 {
		t.Fatalf("record: exit code %d", code)
	}

	t.Run("nothing missing, nothing false", func(t *testing.T) {
		rep, err := netlab.ReadReport(bytes.NewReader(topotape(t, 0, nil, bin, "replay", "--whole", "--format", "json", r.tape)))
		if err != nil {
			t.Fatal(err)
		}
		res := netlab.Compare(truth, rep, netlab.Window{})
		t.Log(res.Summary(20))
		if err := res.Err(); err != nil || len(res.Found) == 0 {
			t.Error(err)
		}
		if len(res.Unnamed) > 0 {
			t.Errorf("%d connections without the name that the client looked up", len(res.Unnamed))
		}
		handshakes := 0
		for _, c := range rep.Connections {
			if slices.Contains(c.Seen, "conntrack") && c.Direction == "handshake" {
				handshakes++
			}
		}
		if handshakes < 100 {
			t.Errorf("only %d connections by handshake", handshakes)
		}
	})

	t.Run("live is replay", func(t *testing.T) {
		copied := filepath.Join(t.TempDir(), "copy.tape")
		b, err := os.ReadFile(r.tape)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, b, 0o600); err != nil {
			t.Fatal(err)
		}
		ticks := 0
		if err := scan(r.tape, func(rec *capture.Record) {
			if rec.Kind == capture.KindWitness {
				ticks++
			}
		}); err != nil || ticks < 8 {
			t.Fatalf("%d witnesses, %v", ticks, err)
		}
		identical := fmt.Sprintf("%d/%d reports identical", ticks, ticks)
		var reports []byte
		for _, env := range [][]string{{"GOMAXPROCS=1"}, {"GOMAXPROCS=2"}, {"TZ=Asia/Tokyo"}, {"LC_ALL=C"}, {"GOGC=1"}} {
			for _, tape := range []string{r.tape, copied} {
				if out := topotape(t, 0, env, bin, "replay", "--verify", tape); !strings.Contains(string(out), identical) {
					t.Errorf("%v: %s", env, out)
				}
				out := topotape(t, 0, env, bin, "replay", "--all", "--format", "ndjson", tape)
				if reports == nil {
					reports = out
				}
				if !bytes.Equal(out, reports) {
					t.Errorf("%v: other bytes", env)
				}
			}
		}
		if n := bytes.Count(reports, []byte("\n")); n != ticks {
			t.Errorf("%d reports for %d witnesses", n, ticks)
		}
	})
}

// flowsOf lists the flows of conntrack -L that are connections: those with a reply in a
// state after SYN_RECV, without TIME_WAIT and CLOSE.
func flowsOf(t *testing.T, lab *netlab.Lab) []string {
	out, err := lab.Command(lab.Gateway, "conntrack", "-L", "-p", "tcp", "-o", "extended").Output()
	if err != nil {
		t.Fatalf("conntrack -L: %v", err)
	}
	line := regexp.MustCompile(`tcp +6 \d+ (\S+) src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) (\[UNREPLIED\] )?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)`)
	var flows []string
	for l := range strings.Lines(string(out)) {
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Fatalf("conntrack -L: %q", l)
		}
		if m[6] == "" && !slices.Contains([]string{"SYN_SENT", "SYN_SENT2", "SYN_RECV", "TIME_WAIT", "CLOSE"}, m[1]) {
			flows = append(flows, fmt.Sprintf("%s:%s>%s:%s", m[2], m[4], m[7], m[9]))
		}
	}
	slices.Sort(flows)
	return flows
}

// The tape counts as many lost events as the kernel, and after the next dump the report has
// the kernel's flows again.
func TestLossIsReported(t *testing.T) {
	lab, bin := newLab(t)
	r := record(t, lab, bin, "--conntrack-buffer", "16KiB", "--sources", "conntrack")
	held, err := lab.Hold(t.Context(), netlab.Pattern{Kind: netlab.DNAT, Count: 40})
	if err != nil {
		t.Fatal(err)
	}
	result, err := lab.Load(t.Context(), netlab.LoadOptions{Count: 20000})
	if err != nil || result.Made < 19000 {
		t.Fatalf("load: %+v, %v", result, err)
	}
	markers, err := newMarkerSource(lab.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer markers.conn.Close()
	quiet, kernel, drops := r.waitQuiet(lab, markers)
	if code := r.stop(); code != 3 {
		t.Errorf("record: exit code %d, want 3: data was lost", code)
	}
	if quiet.lost == 0 || quiet.lost != drops {
		t.Errorf("the tape counts %d lost, the kernel %d", quiet.lost, drops)
	}
	t.Logf("%d connections: %d messages received, %d lost", result.Made, quiet.received, quiet.lost)
	out := topotape(t, 0, nil, bin, "replay", "--format", "json", "--at", "#"+strconv.FormatUint(quiet.tick, 10), r.tape)
	var rep struct {
		Connections []struct {
			From, To struct {
				Addr string
				Port int
			}
			Closed bool
		}
	}
	if err := json.Unmarshal(out, &rep); err != nil {
		t.Fatal(err)
	}
	var reported []string
	for _, c := range rep.Connections {
		if !c.Closed {
			reported = append(reported, fmt.Sprintf("%s:%d>%s:%d", c.From.Addr, c.From.Port, c.To.Addr, c.To.Port))
		}
	}
	slices.Sort(reported)
	if !slices.Equal(reported, kernel) || len(kernel) < 40 {
		t.Errorf("the report has %d flows, the kernel %d:\n%v\n%v", len(reported), len(kernel), reported, kernel)
	}
	topotape(t, 3, nil, bin, "replay", "--strict", r.tape)
	if _, err := held.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// A quietTick is a tick after a dump that followed the last loss. No flow changed while the
// kernel's table was read before it. The counts are of the tape up to the tick.
type quietTick struct {
	tick           uint64 // number of its record
	received, lost uint64
}

// waitQuiet reads the kernel's flows and drops again and again, until no flow changes on the
// tape during a reading: the last packets of closed connections come late.
func (r *recording) waitQuiet(lab *netlab.Lab, markers *markerSource) (q quietTick, flows []string, drops uint64) {
	r.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		before, err := markers.put()
		if err != nil {
			r.t.Fatal(err)
		}
		drops, flows = socketDrops(r.t, lab), flowsOf(r.t, lab)
		after, err := markers.put()
		if err != nil {
			r.t.Fatal(err)
		}
		for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(250 * time.Millisecond) {
			if q, ok := r.quietBetween(before, after); ok && socketDrops(r.t, lab) == drops {
				return q, flows, drops
			}
		}
	}
	r.t.Fatalf("flows change all the time; the recorder printed:\n%s", r.stderr.String())
	return q, nil, 0
}

// quietBetween reads the tape up to the first tick after the second marker. It is ok if a
// complete dump since the last gap precedes the first marker, and if no flow changed and no
// event was lost after the first marker.
func (r *recording) quietBetween(before, after marker) (q quietTick, ok bool) {
	var dumping, dumped bool // since the last gap
	var first, second bool   // the markers were passed
	var changed bool
	_ = scan(r.tape+".partial", func(rec *capture.Record) { // an error is in the part that is being written
		if q.tick > 0 {
			return
		}
		switch rec.Kind {
		case capture.KindGap:
			var g capture.Gap
			if err := rec.Decode(&g); err != nil || !g.Exact || g.Lost == 0 {
				r.t.Errorf("gap %+v, %v", g, err)
			}
			q.lost += g.Lost
			dumping, dumped, changed = false, false, changed || first
		case capture.KindDumpBegin:
			dumping = true
		case capture.KindDumpEnd:
			dumped = dumping
		case capture.KindConntrack:
			q.received++
			if !first && !bytes.Contains(rec.Payload, markerFrom.AsSlice()) {
				return
			}
			e, err := eventOf(rec)
			if err != nil {
				r.t.Fatal(err)
			}
			switch f := markerOf(e); {
			case f == before:
				first = dumped
			case f == after:
				second = first
			case first && e.Flow.TupleOrig.Proto.Protocol == 6 && e.Type != conntrack.EventDestroy:
				changed = true // a DESTROY is of a flow that was not a connection any more
			}
		case capture.KindTick:
			if second {
				q.tick = rec.Seq
			}
		}
	})
	return q, q.tick > 0 && !changed
}

// socketDrops returns how many events the kernel dropped for the only listener of the
// gateway's namespace.
func socketDrops(t *testing.T, lab *netlab.Lab) uint64 {
	out, err := lab.Command(lab.Gateway, "cat", "/proc/net/netlink").Output()
	if err != nil {
		t.Fatal(err)
	}
	var drops uint64
	for l := range strings.Lines(string(out)) {
		f := strings.Fields(l) // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
		if len(f) < 10 || f[1] != "12" || f[3] == "00000000" {
			continue
		}
		n, err := strconv.ParseUint(f[8], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		drops += n
	}
	return drops
}
