package collect

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// tracepoint is the kernel's event of a socket that changes its state.
const tracepoint = "events/sock/inet_sock_set_state"

// mountTracefs is what a user can do who may not mount.
const mountTracefs = "mount -t tracefs nodev /sys/kernel/tracing"

// A traceFormat has what tracefs says about the tracepoint.
type traceFormat struct {
	id     uint64
	text   []byte
	socket field // the kernel's address of the socket
}

// A field is where a value is in the raw data of a sample, in bytes.
type field struct{ offset, size int }

// lockdownWhy returns why the kernel refuses tracefs, "" if it does not. The text is
// that of /sys/kernel/security/lockdown, such as "none [integrity] confidentiality".
func lockdownWhy(text string) string {
	if !strings.Contains(text, "[confidentiality]") {
		return ""
	}
	return "the kernel is locked down in confidentiality mode, which forbids tracefs to everyone: boot with lockdown=integrity, or record the other sources"
}

// openTracepoint reads the tracepoint's id and format: where tracefs is mounted, or
// else in a mount namespace that only a thread of this function has, and that ends
// with the thread. The directories of debugfs are not tried, since a look into them
// makes the kernel mount tracefs there.
func openTracepoint() (*traceFormat, error) {
	if why := lockdownWhy(readLine("/sys/kernel/security/lockdown")); why != "" {
		return nil, errors.New(why)
	}
	if m := lastMount(mounts(), func(m *mount) bool { return m.kind == "tracefs" }); m != nil {
		return readTracepoint(m.point)
	}
	var f *traceFormat
	var err error
	onOwnThread(func() {
		var dir string
		if dir, err = mountPrivately(); err == nil {
			f, err = readTracepoint(dir)
		}
	})
	return f, err
}

// onOwnThread calls f on a thread that ends after it. The process's first thread never
// ends and is what /proc/PID shows, so it is not used.
func onOwnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			onOwnThread(f) // on another one, since this one is locked
			runtime.UnlockOSThread()
			return
		}
		f() // the thread ends with the goroutine, because it stays locked
	}()
	<-done
}

// mountPrivately mounts tracefs where only the calling thread sees it.
func mountPrivately() (dir string, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return "", fmt.Errorf("tracefs is not mounted, and a private mount needs CAP_SYS_ADMIN (%w): run as root, or %s", err, mountTracefs)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("tracefs is not mounted, and mounts can't be made private here (%w): %s", err, mountTracefs)
	}
	for _, dir := range []string{"/sys/kernel/tracing", "/sys/kernel/debug", "/sys", "/"} {
		if err = unix.Mount("tracefs", dir, "tracefs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err == nil {
			return dir, nil
		}
		if errors.Is(err, unix.ENODEV) {
			return "", errors.New("the kernel has no tracefs: it needs CONFIG_TRACING, or record the other sources")
		}
	}
	return "", fmt.Errorf("tracefs is not mounted, and can't be mounted (%w): %s", err, mountTracefs)
}

// readTracepoint reads the tracepoint's files in a mount of tracefs.
func readTracepoint(dir string) (*traceFormat, error) {
	id, err := os.ReadFile(filepath.Join(dir, tracepoint, "id"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("the kernel has no tracepoint sock:inet_sock_set_state: it needs Linux 4.16 or later with CONFIG_EVENT_TRACING, or record the other sources")
	case denied(err):
		return nil, fmt.Errorf("%s can't be read (%w): run as root", dir, err)
	case err != nil:
		return nil, err
	}
	f := &traceFormat{}
	if f.id, err = strconv.ParseUint(strings.TrimSpace(string(id)), 10, 64); err != nil {
		return nil, fmt.Errorf("%s/id: %w", tracepoint, err)
	}
	if f.text, err = os.ReadFile(filepath.Join(dir, tracepoint, "format")); err != nil {
		return nil, err
	}
	if f.socket = findField(f.text, "skaddr"); f.socket.size != 8 && f.socket.size != 4 {
		return nil, fmt.Errorf("%s/format has no field skaddr, so the kernel's addresses in the samples can't be hidden: report this with the output of uname -r", tracepoint)
	}
	return f, nil
}

// findField finds a field in the text of a tracepoint's format, whose lines are like
// "field:const void * skaddr;	offset:8;	size:8;	signed:0;".
func findField(format []byte, name string) (f field) {
	for line := range bytes.Lines(format) {
		declaration, rest, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
		if !strings.HasPrefix(declaration, "field:") || !strings.HasSuffix(declaration, " "+name) {
			continue
		}
		if n, _ := fmt.Sscanf(strings.TrimSpace(rest), "offset:%d; size:%d;", &f.offset, &f.size); n == 2 && f.offset >= 0 {
			return f
		}
	}
	return field{}
}
