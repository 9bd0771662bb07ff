package collect

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// Changes that no counter shows are seen by the owners: the tables are read.
func TestWalkSeesWhatCountersDoNot(t *testing.T) {
	c := startChild(t)
	c.do("lo")
	p := openProc(t, ProcConfig{Root: onlyThese(t, c)})
	walk := func(want string, rows int) {
		t.Helper()
		var got []string
		all := 0
		for _, r := range walkRecords(t, p) {
			switch r.Kind {
			case capture.KindProcNet:
				n := decodeTo[capture.ProcNet](t, r)
				got = append(got, n.Table)
				all += bytes.Count(n.Text, []byte{'\n'}) - 1
			case capture.KindWalkEnd:
				if end := decodeTo[capture.ProcWalk](t, r); end.Failed != "" || end.Netns != 1 {
					t.Errorf("walk's end: %+v", end)
				}
			}
		}
		if g := strings.Join(got, " "); g != want || all != rows {
			t.Errorf("read %q with %d rows, want %q with %d", g, all, want, rows)
		}
	}
	walk("tcp tcp6", 0)
	walk("", 0)
	c.do("listen a 127.0.0.1:80")
	walk("tcp", 1)
	walk("", 0)
	c.do("connect c 127.0.0.1:80")
	walk("tcp", 3)
	time.Sleep(100 * time.Millisecond)
	walk("", 0)
	c.do("accept s a")
	walk("tcp", 3)
	walk("", 0)
	c.do("listen b 127.0.0.1:81")
	walk("tcp", 4)
	c.do("close b")
	c.do("listen b 127.0.0.1:82")
	walk("tcp", 4)
	c.do("udp u")
	walk("tcp", 4) // it might have been a listener
	walk("", 0)
	c.do("listen d [::]:83")
	walk("tcp tcp6", 5)
	c.do("connect m 127.0.0.1:83")
	walk("tcp tcp6", 7)
}

// Namespaces and processes that come and go during walks do not degrade the
// source.
func TestWalkAmongVanishingNamespaces(t *testing.T) {
	needRoot(t)
	goroutines := runtime.NumGoroutine()
	stop, stopped := make(chan bool), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			cmd := exec.Command("sleep", "0.01")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
			if err := cmd.Start(); err == nil {
				time.Sleep(5 * time.Millisecond)
				cmd.Wait()
			}
		}
	}()
	p := NewProc(ProcConfig{Clock: testClock(), Interval: 40 * time.Millisecond, Share: 1})
	r := record(t, p, nil)
	r.until(t, "walks", has(capture.KindWalkEnd, 10))
	if s := p.Stats(); s.Lost > 0 || s.Why != "" && !strings.HasPrefix(s.Why, "walks every") {
		t.Errorf("stats %+v", s)
	}
	records := r.stop(t)
	close(stop)
	if n := <-stopped; n < 5 {
		t.Errorf("only %d namespaces came and went", n)
	}
	for i, rec := range records {
		if rec.Kind == capture.KindWalkEnd && i < len(records)-1 {
			if end := decodeTo[capture.ProcWalk](t, rec); end.Failed != "" {
				t.Errorf("walk %d: %s", end.Number, end.Failed)
			}
		}
	}
	if target, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", p.fs.fd)); target == "/proc" {
		t.Error("/proc is still open")
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
}

// startChildren starts n processes, each with a namespace and one listener.
func startChildren(t testing.TB, n int) []*child {
	list := make([]*child, n)
	for i := range list {
		list[i] = startChild(t)
		list[i].do("listen l 0.0.0.0:80")
	}
	return list
}

// BenchmarkWalkIdleNamespaces measures the CPU time of the whole process for
// walks of 250 namespaces in which nothing happens.
func BenchmarkWalkIdleNamespaces(b *testing.B) {
	startChildren(b, 250)
	p := openProc(b, ProcConfig{})
	drain := func() (n int) {
		for _, r := range walkRecords(b, p) {
			if r.Kind == capture.KindProcNet {
				n++
			}
		}
		return n
	}
	cpu := processTime()
	drain()
	b.ReportMetric(float64(processTime()-cpu)/1e6, "first-ms")
	p.rotated = p.cfg.Clock()
	cpu = processTime()
	tables := 0
	// In walks without a pause no table would become due: each walk advances the
	// time by one interval.
	for b.Loop() {
		p.rotated -= int64(p.cfg.Interval)
		tables += drain()
	}
	took := float64(processTime()-cpu) / float64(b.N)
	b.ReportMetric(took/1e6, "cpu-ms/walk")
	b.ReportMetric(100*took/float64(p.cfg.Interval), "%core")
	b.ReportMetric(float64(tables)/float64(b.N), "tables/walk")
	b.ReportMetric(float64(len(p.spaces)), "namespaces")
	b.ReportMetric(float64(p.cost)/1e6, "ms/turn") // on a host with many sockets, most of it
}

// BenchmarkRecordIdleNamespaces is the same at the real pace, with cold caches,
// for the whole collector; one operation is one interval. Run it with
// -benchtime 20x.
func BenchmarkRecordIdleNamespaces(b *testing.B) {
	startChildren(b, 250)
	p := NewProc(ProcConfig{Clock: testClock()})
	r := record(b, p, nil)
	r.until(b, "first walk", has(capture.KindWalkEnd, 1))
	cpu := processTime()
	b.ResetTimer()
	time.Sleep(time.Duration(b.N) * p.cfg.Interval)
	took := float64(processTime()-cpu) / float64(b.N)
	b.StopTimer()
	records := r.stop(b)
	walks, tables, namespaces := count(records, capture.KindWalkEnd), 0, uint64(0)
	first := true
	for _, rec := range records {
		switch rec.Kind {
		case capture.KindWalkEnd:
			end := decodeTo[capture.ProcWalk](b, rec)
			if end.Failed != "" {
				b.Errorf("walk %d: %s", end.Number, end.Failed)
			}
			namespaces, first = max(namespaces, end.Netns), false
		case capture.KindProcNet:
			if !first {
				tables++
			}
		}
	}
	b.ReportMetric(float64(tables)/float64(b.N), "tables/interval")
	b.ReportMetric(float64(namespaces), "namespaces")
	b.ReportMetric(took/1e6, "cpu-ms/interval")
	b.ReportMetric(100*took/float64(p.cfg.Interval), "%core")
	b.ReportMetric(float64(walks-1)/float64(b.N), "walks/interval")
}

func processTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Two real walks of this machine: the owners are recorded, and no process is
// listed twice.
func TestWalkOfThisMachine(t *testing.T) {
	c := startChild(t)
	c.do("lo")
	c.do("listen l 127.0.0.1:80")
	p := openProc(t, ProcConfig{})
	for range 2 {
		var pids []string
		found := false
		for _, r := range walkRecords(t, p) {
			switch r.Kind {
			case capture.KindProcSockets:
				for _, q := range decodeTo[capture.ProcSockets](t, r).Processes {
					pids = append(pids, fmt.Sprint(q.PID))
					if int(q.PID) == c.pid {
						found = q.Start > 0 && len(q.Cgroup) > 0 && len(q.Inodes) == 1
					}
				}
			case capture.KindWalkEnd:
				if end := decodeTo[capture.ProcWalk](t, r); end.Failed != "" || end.Netns < 2 || end.Processes < 2 {
					t.Errorf("walk's end: %+v", end)
				}
			}
		}
		n := len(pids)
		slices.Sort(pids)
		if !found || len(slices.Compact(pids)) != n {
			t.Errorf("child found with its socket: %v; processes: %v", found, pids)
		}
	}
}
