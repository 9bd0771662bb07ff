//go:build unix

package outfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// write opens an output, writes a text, and completes it.
func write(name string, o Options, text string) error {
	f, err := Open(context.Background(), name, o)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		return errors.Join(err, f.Discard())
	}
	return f.Complete()
}

func content(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// must fails the test if the error is not nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// list returns the names in a directory.
func list(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestWhatExistsIsReplacedOnlyIfAllowed(t *testing.T) {
	const tape = "\x99\xa9topotape1 and more"
	make := map[string]func(t *testing.T, name string){
		"file":          func(t *testing.T, name string) { must(t, os.WriteFile(name, []byte("old"), 0o644)) },
		"tape":          func(t *testing.T, name string) { must(t, os.WriteFile(name, []byte(tape), 0o644)) },
		"leftover":      func(t *testing.T, name string) { must(t, os.WriteFile(name+".part", []byte("old"), 0o644)) },
		"leftover tape": func(t *testing.T, name string) { must(t, os.WriteFile(name+".part", []byte(tape), 0o644)) },
		"leftover pipe": func(t *testing.T, name string) { must(t, syscall.Mkfifo(name+".part", 0o600)) },
		"leftover link": func(t *testing.T, name string) { must(t, os.Symlink("target", name+".part")) },
		"leftover directory": func(t *testing.T, name string) {
			must(t, os.MkdirAll(name+".part/full", 0o755))
		},
		"link to a file": func(t *testing.T, name string) {
			must(t, os.WriteFile(filepath.Dir(name)+"/target", []byte("old"), 0o644))
			must(t, os.Symlink("target", name))
		},
		"link to nothing":     func(t *testing.T, name string) { must(t, os.Symlink("target", name)) },
		"link to a directory": func(t *testing.T, name string) { must(t, os.Symlink("/tmp", name)) },
		"link to a pipe": func(t *testing.T, name string) {
			must(t, syscall.Mkfifo(filepath.Dir(name)+"/target", 0o600))
			must(t, os.Symlink("target", name))
		},
		"link to a character device": func(t *testing.T, name string) { must(t, os.Symlink("/dev/null", name)) },
		"link to itself":             func(t *testing.T, name string) { must(t, os.Symlink("out", name)) },
		"directory":                  func(t *testing.T, name string) { must(t, os.Mkdir(name, 0o755)) },
	}
	for _, c := range []struct {
		existing string
		want     [3]string // error for Nothing, Reports, Anything; "" for success
	}{
		{"file", [3]string{"out exists; --force replaces it", "", ""}},
		{"tape", [3]string{"out exists; --force replaces it", "is a tape and is not overwritten", ""}},
		{"leftover", [3]string{"out.part exists; a topotape that was killed left it: --force replaces it", "", ""}},
		{"leftover tape", [3]string{"out.part exists; a topotape", "out.part is a tape and is not overwritten", ""}},
		{"leftover pipe", [3]string{"out.part exists and is not a file", "out.part exists and is not a file", ""}},
		{"leftover link", [3]string{"out.part exists and is not a file", "out.part exists and is not a file", ""}},
		{"leftover directory", [3]string{"exists and is not a file", "exists and is not a file", "not empty"}},
		{"link to a file", [3]string{"out exists: it is a link, and links are not followed", "", ""}},
		{"link to nothing", [3]string{"out exists: it is a link, and links are not followed", "", ""}},
		{"link to a directory", [3]string{"is a directory", "is a directory", "is a directory"}},
		{"link to a pipe", [3]string{"is a link to a pipe, and links are not followed; name the pipe itself", "link to a pipe", "link to a pipe"}},
		{"link to a character device", [3]string{"link to a character device", "link to a character device", "link to a character device"}},
		{"link to itself", [3]string{"too many levels", "too many levels", "too many levels"}},
		{"directory", [3]string{"out is a directory; name a file", "is a directory", "is a directory"}},
	} {
		for i, want := range c.want {
			dir := t.TempDir()
			name := filepath.Join(dir, "out")
			make[c.existing](t, name)
			before := list(t, dir)
			err := write(name, Options{Suffix: ".part", Replace: Replace(i)}, "new")
			switch {
			case want != "":
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s, %d: error %v, want %q", c.existing, i, err, want)
				}
				if after := list(t, dir); after != before {
					t.Errorf("%s, %d: %s became %s", c.existing, i, before, after)
				}
			case err != nil:
				t.Errorf("%s, %d: %v", c.existing, i, err)
			case content(t, name) != "new" || strings.Contains(list(t, dir), ".part"):
				t.Errorf("%s, %d: it has %q, the directory %s", c.existing, i, content(t, name), list(t, dir))
			}
			switch c.existing {
			case "link to a file":
				if b := content(t, dir+"/target"); b != "old" {
					t.Errorf("%d: the target of the link has %q", i, b)
				}
			case "link to nothing":
				if _, err := os.Lstat(dir + "/target"); err == nil {
					t.Errorf("%d: the target of the link was made", i)
				}
			}
		}
	}
}

// The node has no driver: only its kind is looked at.
func TestBlockDeviceIsWrittenWithForceOnly(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "disk"), filepath.Join(dir, "link")
	if err := syscall.Mknod(name, syscall.S_IFBLK|0o600, 240<<8|77); err != nil {
		t.Skipf("needs root, to make a device: %v", err)
	}
	must(t, os.Symlink("disk", link))
	for _, c := range []struct {
		name string
		may  Replace
		want string
	}{
		{name, Nothing, "disk is a block device; --force overwrites what is on it"},
		{name, Reports, "disk is a block device and is not overwritten"},
		{name, Anything, "disk: no such device"},
		{link, Nothing, "link is a link to a block device, and links are not followed; name the block device itself"},
		{link, Reports, "link is a link to a block device"},
		{link, Anything, "link is a link to a block device"},
	} {
		if err := write(c.name, Options{Replace: c.may}, "new"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %d: error %v", filepath.Base(c.name), c.may, err)
		}
	}
}

func TestDescriptor(t *testing.T) {
	for name, want := range map[string]int{
		"-": 1, "/dev/stdout": 1, "/dev//stdout": 1, "/dev/stderr": 2, "/dev/fd/63": 63, "/proc/self/fd/5": 5, "/proc/thread-self/fd/6": 6,
		"": -1, "./-": -1, "x": -1, "/dev/fd/": -1, "/dev/fd/-1": -1, "/dev/fd/x": -1, "/dev/fd/3/x": -1, "/dev/fd/99999999999": -1, "dev/fd/3": -1,
	} {
		if got := Descriptor(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}

func TestNamesOfOpenFilesAreWrittenTo(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	defer file.Close()
	_, err = file.WriteString("before ")
	must(t, err)
	for _, f := range []*os.File{w, file} {
		for _, dir := range []string{"/dev/fd", "/proc/self/fd"} {
			if err := write(fmt.Sprintf("%s/%d", dir, f.Fd()), Options{}, "new "); err != nil {
				t.Error(err)
			}
		}
	}
	w.Close()
	if b, err := io.ReadAll(r); string(b) != "new new " || err != nil {
		t.Errorf("the pipe has %q, %v", b, err)
	}
	if b := content(t, file.Name()); b != "before new new " {
		t.Errorf("the file has %q", b)
	}

	if err := write(fmt.Sprintf("/dev/fd/%d", r.Fd()), Options{}, "new"); err == nil || !strings.Contains(err.Error(), "is not open for writing") {
		t.Errorf("the reading end: error %v", err)
	}
	if err := write("/dev/fd/4000", Options{}, "new"); err == nil || !strings.Contains(err.Error(), "/dev/fd/4000 is not open") {
		t.Errorf("error %v", err)
	}
}

func TestPipeWaitsForAReader(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	must(t, syscall.Mkfifo(name, 0o600))
	done := make(chan error, 1)
	go func() { done <- write(name, Options{}, "new") }()
	select {
	case err := <-done:
		t.Fatalf("it does not wait: %v", err)
	case <-time.After(150 * time.Millisecond):
	}
	if b := content(t, name); b != "new" {
		t.Errorf("the pipe has %q", b)
	}
	must(t, <-done)

	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(stop)
	if _, err := Open(ctx, name, Options{}); !errors.Is(err, stop) || !strings.Contains(err.Error(), "pipe: the pipe has no reader") {
		t.Errorf("error %v", err)
	}
}

func TestSocketAndDeviceAreWrittenInPlace(t *testing.T) {
	must(t, write("/dev/null", Options{}, "new"))
	name := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", name)
	must(t, err)
	defer l.Close()
	must(t, write(name, Options{}, "new"))
	c, err := l.Accept()
	must(t, err)
	defer c.Close()
	if b, err := io.ReadAll(c); string(b) != "new" || err != nil {
		t.Errorf("the socket has %q, %v", b, err)
	}
}
