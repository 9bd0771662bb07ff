package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture/tape"
)

const shortScript = `{"tape":{"host_id":"host1","start":"2026-01-02T03:04:05Z"}}
{"at":"1s","conntrack":{"type":"update","id":7,"state":"ESTABLISHED","orig":{"proto":"tcp","src":"10.0.0.1","dst":"10.0.0.80","sport":40000,"dport":80},"reply":{"proto":"tcp","src":"10.0.0.80","dst":"10.0.0.1","sport":80,"dport":40000}}}
{"at":"3s","tick":{}}
`

// Under sudo every file and folder that a verb makes belongs to the user.
func TestFilesBelongToTheUserOfSudo(t *testing.T) {
	dir := ""
	for _, args := range []string{
		"record -o recorded.tape --duration 100ms --sources proc --min-free 0",
		"build a.jsonl -o a.tape",
		"cut a.tape -o cut.tape",
		"merge a.tape -o merged.tape",
		"recover a.tape -o recovered.tape",
		"replay a.tape -o report.txt",
		"cat a.tape -o records.txt",
		"cat a.tape --format pcapng -o packets.pcapng",
		"diff a.tape cut.tape -o diff.txt",
		"fixture add one a.tape --expect :80#present --dir new/fixtures",
		"fixture add two a.jsonl --expect :80#present --dir new/fixtures",
		"fixture update --why#test new/fixtures",
	} {
		words := strings.Fields(args)
		for i, w := range words {
			words[i] = strings.ReplaceAll(w, "#", " ")
			if rest, ok := strings.CutPrefix(words[i], "--why "); ok {
				words[i] = "--why=" + rest
			}
		}
		cmd := program(t, words...)
		if dir == "" {
			dir = cmd.Dir
			if err := os.WriteFile(filepath.Join(dir, "a.jsonl"), []byte(shortScript), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if words[1] == "update" { // the expected reports differ
			if err := os.Truncate(filepath.Join(dir, "new/fixtures/one/want.ndjson"), 0); err != nil {
				t.Fatal(err)
			}
		}
		cmd.Dir = dir
		cmd.Env = append(cmd.Env, "SUDO_UID=1234", "SUDO_GID=567", "SUDO_USER=alice")
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "belongs to root") {
			t.Fatalf("%s: %v: %s", args, err, out)
		}
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir || d.Name() == "a.jsonl" {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		if sys := st.Sys().(*syscall.Stat_t); sys.Uid != 1234 || sys.Gid != 567 {
			t.Errorf("%s belongs to %d:%d", path, sys.Uid, sys.Gid)
		}
		files++
		return nil
	})
	if err != nil || files < 19 {
		t.Errorf("%d files, error %v", files, err)
	}
}

func TestWrongUserOfSudoIsReported(t *testing.T) {
	for _, args := range [][]string{
		{"record", "-o", "a.tape", "--duration", "100ms", "--sources", "proc", "--min-free", "0"},
		{"build", "a.jsonl", "-o", "a.tape"},
	} {
		cmd := program(t, args...)
		if err := os.WriteFile(filepath.Join(cmd.Dir, "a.jsonl"), []byte(shortScript), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "SUDO_UID=-1", "SUDO_GID=567")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), `a.tape belongs to root: SUDO_UID="-1" is not the number`) {
			t.Errorf("%s: %v: %s", args[0], err, out)
		}
	}
}

// What is refused is refused before the recording: at once, without a summary.
func TestRecordRefusesOutputsFirst(t *testing.T) {
	for _, c := range []struct {
		what   string
		make   func(name string) error
		want   string
		forced bool // --force helps
	}{
		{"file", func(name string) error { return os.WriteFile(name, []byte("old"), 0o600) }, "a.tape exists; --force replaces it", true},
		{"leftover", func(name string) error { return os.WriteFile(name+".partial", []byte("old"), 0o600) }, "a.tape.partial exists; a topotape that was killed left it: --force replaces it", true},
		{"link to a file", func(name string) error { return os.Symlink("/etc/hostname", name) }, "a.tape exists: it is a link", true},
		{"link to nothing", func(name string) error { return os.Symlink("nothing", name) }, "a.tape exists: it is a link", true},
		{"link to a device", func(name string) error { return os.Symlink("/dev/null", name) }, "a.tape is a link to a character device, and links are not followed", false},
		{"link to a pipe", func(name string) error {
			return errors.Join(syscall.Mkfifo(name+".pipe", 0o600), os.Symlink(name+".pipe", name))
		}, "a.tape is a link to a pipe", false},
		{"block device", func(name string) error { return syscall.Mknod(name, syscall.S_IFBLK|0o600, 240<<8|77) }, "a.tape is a block device; --force overwrites what is on it", false},
	} {
		for _, force := range []bool{false, true} {
			args := []string{"record", "-o", "a.tape", "--sources", "proc", "--min-free", "0", "--duration", "100ms"}
			if force {
				args = append(args, "--force")
			} else {
				args[len(args)-1] = "1h"
			}
			cmd := program(t, args...)
			if err := c.make(filepath.Join(cmd.Dir, "a.tape")); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
			out, err := cmd.CombinedOutput()
			timer.Stop()
			switch {
			case force && c.forced:
				f, openErr := os.Open(filepath.Join(cmd.Dir, "a.tape"))
				if err != nil || openErr != nil {
					t.Errorf("%s: %v: %s", c.what, err, out)
					continue
				}
				if e, _ := ending(t, f); e != tape.Closed {
					t.Errorf("%s: %v tape", c.what, e)
				}
				f.Close()
			case exitCode(err) != exitFailed || strings.Contains(string(out), "received"):
				t.Errorf("%s, --force %v: %v: %s", c.what, force, err, out)
			case !force && !strings.Contains(string(out), c.want):
				t.Errorf("%s: %s", c.what, out)
			}
		}
	}
}

func TestRecordWritesToOpenFiles(t *testing.T) {
	for _, name := range []string{"/dev/fd/3", "/proc/self/fd/3"} {
		cmd := program(t, "record", "-o", name, "--duration", "200ms", "--sources", "proc")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.ExtraFiles = []*os.File{w}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if e, why := ending(t, r); e != tape.Closed || !strings.Contains(why, "duration") {
			t.Errorf("%s: %v tape, %q", name, e, why)
		}
		r.Close()
		if code := exitCode(cmd.Wait()); code != exitOK {
			t.Errorf("%s: exit code %d: %s", name, code, &stderr)
		}
	}
}

// A tape is written to a real block device only with --force, and then can be read
// from it.
func TestTapeOnABlockDevice(t *testing.T) {
	cmd := program(t, "record", "-o", "disk", "--duration", "200ms", "--sources", "proc", "--force")
	image := filepath.Join(cmd.Dir, "image")
	if err := os.WriteFile(image, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	device, err := exec.Command("losetup", "--find", "--show", image).Output()
	if err != nil {
		t.Skipf("needs a loop device: %v", err)
	}
	disk := strings.TrimSpace(string(device))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", disk).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	cmd.Args[3] = disk
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(disk)
	if err != nil || !bytes.Contains(b[:16], []byte("topotape")) {
		t.Errorf("%q, %v", b[:16], err)
	}
	cmd = program(t, "record", "-o", disk, "--duration", "200ms", "--sources", "proc")
	if out, err := cmd.CombinedOutput(); exitCode(err) != exitFailed || !strings.Contains(string(out), "is a block device; --force") {
		t.Errorf("%v: %s", err, out)
	}
}

// Another program removes the tape, or what was written of it.
func TestRemovedTapeEndsTheRecording(t *testing.T) {
	for want, do := range map[string]func(string) error{
		"a.tape.partial: another program removed it; nothing was saved": os.Remove,
		"a.tape.partial: another program made it shorter; nothing was saved": func(name string) error {
			return os.Truncate(name, 0)
		},
	} {
		cmd := program(t, "record", "-o", "a.tape", "--min-free", "0", "--sources", "proc", "--interval", "10m", "--proc-interval", "10m")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		begin(t, cmd, "a.tape")
		if err := do(filepath.Join(cmd.Dir, "a.tape.partial")); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
		code := exitCode(cmd.Wait())
		timer.Stop()
		last := stderr.String()[strings.LastIndex(strings.TrimSpace(stderr.String()), "\n")+1:]
		if code != exitFailed || last != "topotape record: "+want+"\n" || !strings.Contains(stderr.String(), ": 0 records, 0 B, cut, in ") {
			t.Errorf("exit code %d: %s", code, &stderr)
		}
	}
}
