package collect

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// hidepidEnv names the procfs that the unprivileged part of the test walks, and
// hidepidWant what the source must say.
const hidepidEnv, hidepidWant = "TOPOTAPE_HIDEPID_ROOT", "TOPOTAPE_HIDEPID_WANT"

// A procfs that hides processes from the recorder degrades the source, with the
// option of the mount and what to do.
func TestHiddenProcessesAreSaid(t *testing.T) {
	if root := os.Getenv(hidepidEnv); root != "" {
		walkHidden(t, root, os.Getenv(hidepidWant))
		return
	}
	needRoot(t)
	const alone = `^only [12] of about \d+ processes and threads can be seen: \S+ is mounted with hidepid=\w+; run as root, with CAP_SYS_PTRACE, or in the group of its gid= option$`
	const unread = `^the sockets of \d+ of \d+ processes are hidden: needs CAP_SYS_PTRACE`
	for _, c := range []struct {
		options, want string
		uid, gid      uint32
	}{
		{"hidepid=2", alone, 65534, 65534},
		{"hidepid=4", alone, 65534, 65534},
		{"hidepid=1", unread, 65534, 65534},
		{"hidepid=2,gid=1234", unread, 65534, 1234}, // it sees the processes, and not their sockets
		{"hidepid=2", `^$`, 0, 0},
	} {
		t.Run(c.options, func(t *testing.T) {
			runtime.LockOSThread() // never unlocked: the thread ends with the test
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				t.Fatal(err)
			}
			root, err := os.MkdirTemp("/tmp", "hidepid")
			if err != nil {
				t.Fatal(err)
			}
			os.Chmod(root, 0o755)
			t.Cleanup(func() { unix.Unmount(root, unix.MNT_DETACH); os.Remove(root) })
			if err := unix.Mount("proc", root, "proc", 0, c.options); err != nil {
				t.Fatalf("mount procfs with %s: %v", c.options, err)
			}
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestHiddenProcessesAreSaid$", "-test.v")
			cmd.Dir = "/"
			cmd.Env = append(os.Environ(), hidepidEnv+"="+root, hidepidWant+"="+c.want)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.gid}}
			out, err := cmd.CombinedOutput()
			if t.Logf("%s", out); err != nil {
				t.Error(err)
			}
		})
	}
}

func walkHidden(t *testing.T, root, want string) {
	p := NewProc(ProcConfig{Clock: testClock(), Interval: 50 * time.Millisecond, Root: root})
	r := record(t, p, nil)
	r.until(t, "2 walks", has(capture.KindWalkEnd, 2))
	r.until(t, "why", func([]capture.Record) bool { return regexp.MustCompile(want).MatchString(p.Stats().Why) })
	records := r.stop(t)
	if n := count(records, capture.KindSource); n != 1 {
		t.Errorf("%d source records", n)
	}
	if why := decodeTo[capture.Source](t, records[0]).Why; !regexp.MustCompile(want).MatchString(why) {
		t.Errorf("why: %q, want %s", why, want)
	}
}

func TestHidepidIsThatOfTheLastMount(t *testing.T) {
	const mounts = "22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw\n" +
		"90 27 0:40 / /srv rw - ext4 /dev/sda1 rw,hidepid=2\n" +
		"91 22 0:41 / /proc rw - proc proc rw,gid=5,hidepid=invisible\n" +
		"92 27 0:42 / /other/proc rw - proc proc rw,hidepid=noaccess\nshort\n"
	for path, want := range map[string]string{"/proc": "hidepid=invisible", "/srv": "", "/other/proc": "hidepid=noaccess", "/none": ""} {
		if got := hidepidOption(parseMounts(mounts), path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if got := hidepidOption(parseMounts(mounts+strings.SplitAfter(mounts, "\n")[0]), "/proc"); got != "" {
		t.Errorf("covered by a mount without the option: %q", got)
	}
}
