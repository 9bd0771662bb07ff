package collect

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
)

// Without privileges the walk has the caller's own namespace, and one line says
// what is missing.
func TestUnprivilegedWalk(t *testing.T) {
	if os.Geteuid() == 0 {
		cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if t.Logf("%s", out); err != nil {
			t.Error(err)
		}
		return
	}
	p := NewProc(ProcConfig{Clock: testClock(), Interval: 50 * time.Millisecond})
	r := record(t, p, nil)
	r.until(t, "2 walks", has(capture.KindWalkEnd, 2))
	why := p.Stats().Why
	tables, hidden := 0, 0
	for _, rec := range r.stop(t) {
		switch rec.Kind {
		case capture.KindSource:
			if s := decodeTo[capture.Source](t, rec); s.Why == "" {
				t.Errorf("source %+v", s)
			}
		case capture.KindProcNet:
			tables++
		case capture.KindProcSockets:
			if s := decodeTo[capture.ProcSockets](t, rec); s.Netns == 0 {
				hidden = len(s.Processes)
			}
		}
	}
	if tables < 2 || hidden == 0 {
		t.Errorf("%d tables, %d processes of an unknown namespace", tables, hidden)
	}
	if !strings.Contains(why, "CAP_SYS_PTRACE") || strings.Contains(why, "\n") {
		t.Errorf("why: %q", why)
	}
	if err := NewDNS(DNSConfig{Clock: testClock()}).Open(); err == nil || !strings.Contains(err.Error(), "CAP_NET_RAW") {
		t.Errorf("dns opens with %v", err)
	}
	t.Log(why)
}
