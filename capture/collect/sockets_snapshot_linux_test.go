package collect

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// All processes are listed by namespace, those without sockets too.
func TestSnapshotListsProcessesByNamespace(t *testing.T) {
	c := startChild(t)
	own := os.Getpid()
	found := map[uint64][]capture.Process{}
	for _, g := range listProcesses(t.Context(), "/proc") {
		if len(g.processes) == 0 || found[g.netns] != nil {
			t.Errorf("%d processes in namespace %d, listed twice: %v", len(g.processes), g.netns, found[g.netns] != nil)
		}
		found[g.netns] = g.processes
	}
	process := func(pid int) *capture.Process {
		var st unix.Stat_t
		if err := unix.Stat("/proc/"+pidPath(uint32(pid), "ns/net"), &st); err != nil {
			t.Fatal(err)
		}
		netns := st.Ino
		i := slices.IndexFunc(found[netns], func(p capture.Process) bool { return p.PID == uint32(pid) })
		if i < 0 {
			t.Fatalf("process %d is not in namespace %d", pid, netns)
		}
		return &found[netns][i]
	}
	child := process(c.pid)
	if child.PPID != uint32(own) || child.Start == 0 || len(child.Cgroup) == 0 || child.Comm == "" || child.Inodes != nil {
		t.Errorf("the child is %+v", child)
	}
	process(own)
	process(2) // kthreadd
}

// Samples name the directories of the hierarchy that has the controller perf_event.
func TestCgroupsAreThoseOfPerfEvents(t *testing.T) {
	const v2 = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	const v1 = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	const perf = "36 31 0:33 / /sys/fs/cgroup/perf\\040event rw - cgroup cgroup rw,perf_event\n"
	for text, want := range map[string]string{v2 + v1: "/sys/fs/cgroup/unified", v2 + perf + v1: "/sys/fs/cgroup/perf event", perf + v2: "/sys/fs/cgroup/perf event", v1: "", "": ""} {
		if got := cgroupMount(parseMounts(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	root := t.TempDir()
	if err := os.MkdirAll(root+"/system.slice/a.service", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/cgroup.procs", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	list := listCgroups(t.Context(), root)
	var paths []string
	for _, c := range list {
		paths = append(paths, c.Path)
		if st, err := os.Stat(root + c.Path); err != nil || st.Sys().(*syscall.Stat_t).Ino != c.Inode {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if want := []string{"/", "/system.slice", "/system.slice/a.service"}; !slices.Equal(paths, want) {
		t.Errorf("directories %q, want %q", paths, want)
	}
	if list := listCgroups(t.Context(), ""); list != nil {
		t.Errorf("without a mount: %v", list)
	}
}

// Without privileges, or in a pid namespace of its own, one line says what to do.
func TestSocketsWithoutPrivilegeSayWhatToDo(t *testing.T) {
	needRoot(t)
	open := func(attr *syscall.SysProcAttr) string {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestSocketsOpenOrSayWhy$", "-test.v")
		cmd.Dir, cmd.SysProcAttr = "/", attr
		cmd.Env = append(os.Environ(), openEnv+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		_, why, _ := strings.Cut(string(out), "why: ")
		why, _, _ = strings.Cut(why, "\n")
		return why
	}
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if why := open(nobody); !strings.Contains(why, "run as root") {
		t.Errorf("nobody: %q", why)
	}
	if why := open(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}); !strings.Contains(why, "hostPID") {
		t.Errorf("in a pid namespace: %q", why)
	}
	if why := open(nil); why != "" {
		t.Errorf("as root: %q", why)
	}
}

const openEnv = "TOPOTAPE_COLLECT_OPEN"

// TestSocketsOpenOrSayWhy is a process of the test above, and does nothing unless that test
// starts it.
func TestSocketsOpenOrSayWhy(t *testing.T) {
	if os.Getenv(openEnv) == "" {
		return
	}
	s := NewSockets(SocketsConfig{Clock: testClock()})
	if err := s.Open(); err != nil {
		t.Logf("why: %v", err)
		return
	}
	defer s.close()
	t.Logf("why: %s", s.source.Why)
}
