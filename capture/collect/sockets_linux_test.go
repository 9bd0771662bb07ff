package collect

import (
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/sockmsg"
	"golang.org/x/sys/unix"
)

// newSockets returns a collector, and skips the test where the host does not grant one.
func newSockets(t testing.TB, cfg SocketsConfig) *Sockets {
	t.Helper()
	needRoot(t)
	cfg.Source, cfg.Clock = 5, testClock()
	s := NewSockets(cfg)
	if _, err := openTracepoint(); err != nil {
		t.Skip(err)
	}
	return s
}

// decoded are the records of the rings as values.
type decoded struct {
	format    sockmsg.Format
	sockets   []sockmsg.Event
	processes []sockmsg.Process
	lost      uint64
}

func decode(t testing.TB, records []capture.Record) (d decoded) {
	t.Helper()
	for _, r := range records {
		switch r.Kind {
		case capture.KindSocketFormat:
			var err error
			if d.format, err = sockmsg.ParseFormat(decodeTo[capture.SocketFormat](t, r).Text); err != nil {
				t.Fatal(err)
			}
		case capture.KindSocketEvent:
			var e sockmsg.Event
			if err := d.format.Decode(&e, r.Payload, bigEndian); err != nil {
				t.Fatalf("%v: % x", err, r.Payload)
			}
			d.sockets = append(d.sockets, e)
		case capture.KindProcessEvent:
			var p sockmsg.Process
			if err := sockmsg.DecodeProcess(&p, r.Payload, bigEndian); err != nil {
				t.Fatalf("%v: % x", err, r.Payload)
			}
			d.processes = append(d.processes, p)
		case capture.KindGap:
			d.lost += decodeTo[capture.Gap](t, r).Lost
		}
	}
	return d
}

// of returns the changes with a port at either end.
func (d *decoded) of(port uint16) (list []sockmsg.Event) {
	for _, e := range d.sockets {
		if e.Local.Port() == port || e.Remote.Port() == port {
			list = append(list, e)
		}
	}
	return list
}

// transition finds a change of a socket.
func transition(list []sockmsg.Event, was, is procnet.State, socket uint64) *sockmsg.Event {
	for i, e := range list {
		if e.Old == was && e.New == is && (socket == 0 || e.Socket == socket) {
			return &list[i]
		}
	}
	return nil
}

func TestSocketsShowWhoConnects(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		c := startChild(t)
		c.do("lo")
		r := record(t, newSockets(t, SocketsConfig{}), nil)
		r.until(t, "processes", has(capture.KindProcesses, 1))
		server := at(address, 4711)
		c.do("listen l %s", server)
		c.do("connect c %s", server)
		c.do("accept a l")
		c.do("close c")
		c.do("close a")
		d := decode(t, r.stop(t))
		events := d.of(4711)
		started := transition(events, procnet.Close, procnet.SynSent, 0)
		if started == nil || started.PID != uint32(c.pid) || !started.InProcess() || started.Local.Port() != 0 {
			t.Fatalf("%s: connect is %+v, the process is %d", address, started, c.pid)
		}
		if want := netip.MustParseAddrPort(server); started.Remote != want {
			t.Errorf("%s: connect to %v", address, started.Remote)
		}
		established := transition(events, procnet.SynSent, procnet.Established, started.Socket)
		if established == nil || established.Local.Port() == 0 || established.Time < started.Time {
			t.Fatalf("%s: established is %+v", address, established)
		}
		if listen := transition(events, procnet.Close, procnet.Listen, 0); listen == nil || listen.PID != uint32(c.pid) || listen.Local.Port() != 4711 {
			t.Errorf("%s: listen is %+v", address, listen)
		}
		accepted := transition(events, procnet.SynRecv, procnet.Established, 0)
		if accepted == nil || accepted.Remote.Port() != established.Local.Port() || accepted.Socket == started.Socket {
			t.Fatalf("%s: the server's end is %+v", address, accepted)
		}
		closed := transition(events, procnet.CloseWait, procnet.LastAck, accepted.Socket)
		if closed == nil { // the client's FIN was still on its way
			closed = transition(events, procnet.Established, procnet.FinWait1, accepted.Socket)
		}
		if closed == nil || closed.PID != uint32(c.pid) || !closed.InProcess() {
			t.Errorf("%s: the server's close is %+v", address, closed)
		}
		for _, e := range events {
			if transition([]sockmsg.Event{e}, procnet.FinWait1, procnet.FinWait2, 0) != nil {
				t.Errorf("%s: the filter passes %+v", address, e)
			}
		}
		c.end()
	}
}

func TestSocketsShowAShortLifeOfAProcess(t *testing.T) {
	r := record(t, newSockets(t, SocketsConfig{}), nil)
	r.until(t, "processes", has(capture.KindProcesses, 1))
	runtime.LockOSThread() // the child has this thread's namespace
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/bin/true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	d := decode(t, r.stop(t))
	var kinds []sockmsg.ProcessKind
	pid := uint32(cmd.Process.Pid)
	for _, p := range d.processes {
		if p.PID != pid {
			continue
		}
		kinds = append(kinds, p.Kind)
		switch p.Kind {
		case sockmsg.Comm:
			if p.Comm != "true" || !p.Exec {
				t.Errorf("name %+v", p)
			}
		case sockmsg.Fork:
			if p.PPID != uint32(os.Getpid()) {
				t.Errorf("parent %+v, want %d", p, os.Getpid())
			}
		case sockmsg.Namespaces:
			if p.Netns != netnsInode() {
				t.Errorf("namespaces %+v, want %d", p, netnsInode())
			}
		}
	}
	if want := []sockmsg.ProcessKind{sockmsg.Fork, sockmsg.Namespaces, sockmsg.Comm, sockmsg.Exit}; !slices.Equal(kinds, want) {
		t.Errorf("records %v, want %v", kinds, want)
	}
	for _, p := range d.processes {
		if (p.Kind == sockmsg.Fork || p.Kind == sockmsg.Comm) && !p.Leader() {
			t.Errorf("a thread: %+v", p)
		}
	}
}

// The records begin with what the rings do not show, and are in the order of time.
func TestSocketsAreInTheOrderOfTime(t *testing.T) {
	inNetns(t)
	s := newSockets(t, SocketsConfig{})
	r := record(t, s, nil)
	load(t, 500)
	records := r.stop(t)
	var order []capture.Kind
	last, late := int64(0), 0
	var time int64
	for _, rec := range records {
		if rec.Source != 5 || rec.At < last {
			t.Fatalf("%v of source %d at %d after %d", rec.Kind, rec.Source, rec.At, last)
		}
		last = rec.At
		if len(order) == 0 || order[len(order)-1] != rec.Kind {
			order = append(order, rec.Kind)
		}
		if rec.Kind == capture.KindSocketEvent {
			at := int64(binary.NativeEndian.Uint64(rec.Payload[16:]))
			if at < time {
				late++ // an interrupt between reading the clock and writing
			}
			time = max(time, at)
			if off := rec.At - (at + s.offset); off < -1e9 || off > 1e9 {
				t.Errorf("a sample is %d ns from its time", off)
			}
		}
	}
	if want := []capture.Kind{capture.KindSource, capture.KindSocketFormat, capture.KindCgroups, capture.KindProcesses}; !slices.Equal(order[:4], want) {
		t.Errorf("the records begin with %v", order[:4])
	}
	n := count(records, capture.KindSocketEvent)
	if n < 500*6 || late > n/100 {
		t.Errorf("%d samples, %d late", n, late)
	}
	if got := s.Stats(); got.Received != uint64(n+count(records, capture.KindProcessEvent)) || got.Lost != 0 {
		t.Errorf("stats %+v of %d samples", got, n)
	}
}

func TestSocketsHideTheKernelsAddresses(t *testing.T) {
	inNetns(t)
	sockets := [2]map[uint64]bool{{}, {}}
	for i := range sockets {
		r := record(t, newSockets(t, SocketsConfig{}), nil)
		load(t, 50)
		records := r.stop(t)
		for _, e := range decode(t, records).sockets {
			sockets[i][e.Socket] = true
			if e.Socket == 0 {
				t.Error("a socket without a number")
			}
		}
		for _, rec := range records {
			for b := rec.Payload; rec.Kind == capture.KindSocketEvent && len(b) >= 8; b = b[4:] {
				if v := binary.NativeEndian.Uint64(b); v>>47 == 0x1ffff && !sockets[i][v] {
					t.Fatalf("%#x in % x", v, rec.Payload)
				}
			}
		}
	}
	high := 0
	for v := range sockets[0] {
		if sockets[1][v] {
			t.Errorf("%#x is in two recordings", v)
		}
		if v>>47 == 0x1ffff {
			high++
		}
	}
	if len(sockets[0]) < 2 || high > 1 {
		t.Errorf("%d sockets, %d like addresses of the kernel", len(sockets[0]), high)
	}
}

func TestSocketsLeaveTheMountsAsTheyAre(t *testing.T) {
	mounted := func() string {
		b, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before, threads := mounted(), mountNamespaces(t)
	record(t, newSockets(t, SocketsConfig{}), nil).stop(t)
	if after := mounted(); after != before {
		t.Errorf("mounts before:\n%s\nafter:\n%s", before, after)
	}
	for deadline := time.Now().Add(5 * time.Second); !slices.Equal(threads, mountNamespaces(t)); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("mount namespaces of the threads: %v, before: %v", mountNamespaces(t), threads)
		}
	}
}

// mountNamespaces lists those of the process's threads.
func mountNamespaces(t *testing.T) (list []string) {
	dirs, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if ns := readLink("/proc/self/task/" + d.Name() + "/ns/mnt"); ns != "" && !slices.Contains(list, ns) {
			list = append(list, ns)
		}
	}
	return list
}

func TestSocketsSayWhatTheHostLacks(t *testing.T) {
	if why := lockdownWhy("none [integrity] confidentiality"); why != "" {
		t.Errorf("integrity: %q", why)
	}
	if why := lockdownWhy("none integrity [confidentiality]"); !strings.Contains(why, "confidentiality") {
		t.Errorf("confidentiality: %q", why)
	}
	if _, err := readTracepoint(t.TempDir()); err == nil || !strings.Contains(err.Error(), "4.16") {
		t.Errorf("no tracepoint: %v", err)
	}
	for err, want := range map[error]string{unix.EACCES: "CAP_PERFMON", unix.EPERM: "perf_event_paranoid", unix.ENOSYS: "CONFIG_PERF_EVENTS", unix.EMFILE: "ulimit", unix.EINVAL: "4.16"} {
		if got := perfWhy(os.NewSyscallError("perf_event_open", err)).Error(); !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%v: %q", err, got)
		}
	}
}

func TestProcessorsAndRings(t *testing.T) {
	for list, want := range map[string][]int{"0": {0}, "0-3\n": {0, 1, 2, 3}, "0,2-3,8\n": {0, 2, 3, 8}, "": nil, "x": nil} {
		if got := processors(list); !slices.Equal(got, want) {
			t.Errorf("%q: %v", list, got)
		}
	}
	for _, c := range [][3]int{{2, 16 << 20, 512}, {8, 16 << 20, 512}, {9, 16 << 20, 256}, {64, 16 << 20, 64}, {8192, 16 << 20, 8}, {1, 1, 8}} {
		if got := ringPages(c[1], 4096, c[0]); got != c[2] {
			t.Errorf("%d processors: %d pages", c[0], got)
		}
	}
	format := "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n"
	if f := findField([]byte(format), "skaddr"); f != (field{8, 8}) {
		t.Errorf("skaddr %+v", f)
	}
	if f := findField([]byte(format), "addr"); f != (field{}) {
		t.Errorf("addr %+v", f)
	}
}
