package live

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
)

func exists(t *testing.T, name string) bool {
	t.Helper()
	_, err := os.Lstat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestFileIsRenamedWhenItIsClosed(t *testing.T) {
	o := options(t)
	s := start(t, o, fakeMachine(conntrackSource(newFakeConntrack())))
	for deadline := time.Now().Add(5 * time.Second); !exists(t, o.Output+partial); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no partial file")
		}
	}
	if st, _ := os.Stat(o.Output + partial); st.Mode() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	if exists(t, o.Output) {
		t.Error("the file has its name while it is written")
	}
	if _, err := s.wait(t); err != nil {
		t.Fatal(err)
	}
	if exists(t, o.Output+partial) || !exists(t, o.Output) {
		t.Error("the file was not renamed")
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	for _, c := range []struct{ existing, want string }{
		{"", "exists"},
		{partial, "--force replaces it, topotape replay reads it"},
	} {
		o := options(t)
		os.WriteFile(o.Output+c.existing, []byte("precious"), 0o644)
		s := start(t, o, fakeMachine(conntrackSource(newFakeConntrack())))
		if _, err := s.wait(t); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), o.Output) {
			t.Errorf("existing %q: error %v", c.existing, err)
		}
		if b, _ := os.ReadFile(o.Output + c.existing); string(b) != "precious" {
			t.Errorf("existing %q: it holds %q", c.existing, b)
		}
	}
}

func TestForceReplaces(t *testing.T) {
	for _, existing := range []string{"", partial} {
		o := options(t)
		o.Force = true
		os.WriteFile(o.Output+existing, []byte("old"), 0o644)
		if _, err := start(t, o, fakeMachine(conntrackSource(newFakeConntrack()))).wait(t); err != nil {
			t.Fatal(err)
		}
		if _, _, ending := readFile(t, o.Output); ending != tape.Closed || exists(t, o.Output+partial) {
			t.Errorf("existing %q: tape is %v", existing, ending)
		}
	}
}

func TestRunningRecordingIsNotReplaced(t *testing.T) {
	o := options(t)
	s := start(t, o, fakeMachine(conntrackSource(newFakeConntrack())))
	for !exists(t, o.Output+partial) {
		time.Sleep(time.Millisecond)
	}
	o.Force = true
	if _, err := start(t, o, fakeMachine(conntrackSource(newFakeConntrack()))).wait(t); err == nil || !strings.Contains(err.Error(), "another topotape is writing it") {
		t.Errorf("error %v", err)
	}
	if _, err := s.wait(t); err != nil {
		t.Fatal(err)
	}
	if _, _, ending := readFile(t, o.Output); ending != tape.Closed {
		t.Errorf("tape is %v", ending)
	}
}

func TestFileThatAppearsDuringTheRecordingIsKept(t *testing.T) {
	o := options(t)
	s := start(t, o, fakeMachine(conntrackSource(newFakeConntrack())))
	time.Sleep(30 * time.Millisecond)
	os.WriteFile(o.Output, []byte("precious"), 0o644)
	if _, err := s.wait(t); err == nil || !strings.Contains(err.Error(), partial) {
		t.Errorf("error %v", err)
	}
	if b, _ := os.ReadFile(o.Output); string(b) != "precious" {
		t.Errorf("it holds %q", b)
	}
	if _, _, ending := readFile(t, o.Output+partial); ending != tape.Closed {
		t.Errorf("tape is %v", ending)
	}
}

func TestDirectoryIsRefused(t *testing.T) {
	for _, name := range []string{t.TempDir(), "nowhere/"} {
		o := options(t)
		o.Output = name
		if _, err := start(t, o, fakeMachine(conntrackSource(newFakeConntrack()))).wait(t); err == nil || !strings.Contains(err.Error(), "ring of segments is not available") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestDefaultName(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 0))
	for host, want := range map[string]string{
		"web1":    "web1-20260102T030405Z.tape",
		"../evil": "_evil-20260102T030405Z.tape",
		"-":       "host-20260102T030405Z.tape",
	} {
		if got := defaultName(host, at); got != want {
			t.Errorf("%q: %q", host, got)
		}
	}
}

func TestPipeIsWrittenInPlaceOnceSomeoneReadsIt(t *testing.T) {
	o := options(t)
	if err := syscall.Mkfifo(o.Output, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, o, fakeMachine(conntrackSource(newFakeConntrack())))
	time.Sleep(20 * time.Millisecond)
	f, err := os.Open(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	time.AfterFunc(200*time.Millisecond, func() { s.cancel(errStop) })
	if _, _, ending := readTape(t, f); ending != tape.Closed {
		t.Errorf("tape is %v", ending)
	}
	if summary, err := s.wait(t); err != nil || !summary.Closed {
		t.Errorf("summary %+v, error %v", summary, err)
	}
	if st, _ := os.Lstat(o.Output); st.Mode()&fs.ModeNamedPipe == 0 {
		t.Error("the pipe was replaced")
	}
}

func TestWaitForAReaderOfAPipeCanBeCancelled(t *testing.T) {
	o := options(t)
	if err := syscall.Mkfifo(o.Output, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, o, fakeMachine(conntrackSource(newFakeConntrack()))).wait(t); !errors.Is(err, errStop) {
		t.Errorf("error %v", err)
	}
}

func TestSocketAndDeviceAreWrittenInPlace(t *testing.T) {
	o := options(t)
	l, err := net.Listen("unix", o.Output)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := start(t, o, fakeMachine(conntrackSource(newFakeConntrack())))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	time.AfterFunc(50*time.Millisecond, func() { s.cancel(errStop) })
	if _, _, ending := readTape(t, c); ending != tape.Closed {
		t.Errorf("tape is %v", ending)
	}

	o.Output = "/dev/null"
	if summary, err := start(t, o, fakeMachine(conntrackSource(newFakeConntrack()))).wait(t); err != nil || !summary.Closed {
		t.Errorf("summary %+v, error %v", summary, err)
	}
}

func TestStandardOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	o := options(t)
	o.Output, o.stdout = "-", w
	s := start(t, o, fakeMachine(conntrackSource(newFakeConntrack())))
	time.AfterFunc(50*time.Millisecond, func() {
		s.wait(t)
		w.Close()
	})
	if _, _, ending := readTape(t, r); ending != tape.Closed {
		t.Errorf("tape is %v", ending)
	}
}

func TestClosedPipeEndsTheRecording(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	o := options(t)
	o.Output, o.stdout, o.Interval = "-", w, 10*time.Millisecond
	s := start(t, o, fakeMachine(conntrackSource(newFakeConntrack())))
	time.Sleep(20 * time.Millisecond)
	r.Close()
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
		t.Fatal("it goes on without a reader")
	}
	if s.err != nil || s.summary.Closed || !strings.Contains(s.summary.Why, "closed the pipe") {
		t.Errorf("summary %+v, error %v", s.summary, s.err)
	}
}

func TestFullDeviceIsAnError(t *testing.T) {
	o := options(t)
	o.Output = "/dev/full"
	s := start(t, o, fakeMachine(conntrackSource(newFakeConntrack())))
	<-s.done
	if !errors.Is(s.err, syscall.ENOSPC) {
		t.Errorf("error %v", s.err)
	}
}

func TestStatusLineIsOverwritten(t *testing.T) {
	var status, log strings.Builder
	c := console{lines: &log, status: &status}
	c.show("one")
	c.show("two")
	c.log("hello %d", 1)
	c.clear()
	if want := "\rone\x1b[K\rtwo\x1b[K\r\x1b[K"; status.String() != want {
		t.Errorf("status %q", status.String())
	}
	if log.String() != "hello 1\n" {
		t.Errorf("log %q", log.String())
	}
}

func TestSummaryAsText(t *testing.T) {
	s := Summary{File: "a.tape", Closed: true, Why: "stopped by SIGINT", Bytes: 3 << 20, Records: 12345, Duration: 90 * time.Second,
		Sources: []SourceSummary{{Kind: "conntrack", Received: 10, Recorded: 10, Lost: 7, Gaps: 1}, {Kind: "dns", Why: "not recorded: run as root"}},
		CPU:     900 * time.Millisecond, Memory: 40 << 20, Fault: "index out of range"}
	var b strings.Builder
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	want := `a.tape: 12345 records, 3.0 MiB, in 1m30s (stopped by SIGINT)
     source  received  recorded  lost  undecodable
  conntrack        10        10     7            0
        dns         0         0     0            0
dns: not recorded: run as root
the core panicked (index out of range): the rest of the tape has no witnesses
cpu 900ms (1.0 % of a core), memory 40.0 MiB
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestDryRunRecordsNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	var b strings.Builder
	ct := newFakeConntrack()
	ct.queue(of(capture.KindSource, 1, 0, &capture.Source{Open: true, Kind: "conntrack", Why: "the buffer is small"}))
	err := dryRun(Options{}, fakeMachine(conntrackSource(ct), procSource(&fake{openErr: errors.New("mount /proc")})), &b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"conntrack: degraded: the buffer is small\n", "proc: can't be recorded: mount /proc\n", "host: host1 (id id1)", "tape: host1-"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, b.String())
		}
	}
	if left, _ := os.ReadDir("."); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
	if err := dryRun(Options{}, fakeMachine(procSource(&fake{openErr: errors.New("mount /proc")})), io.Discard); err == nil {
		t.Error("no error though nothing can be recorded")
	}
}
