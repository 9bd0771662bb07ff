package outfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Replace is what a new file may replace.
type Replace uint8

const (
	Nothing  Replace = iota
	Reports          // a file that is not a tape: reports can be made again, a tape cannot
	Anything         // the user gave --force
)

// Options of Open.
type Options struct {
	Suffix  string // of the temporary name
	Replace Replace
}

// Descriptor returns the file descriptor of this process that a name denotes: 1 for
// "-" and /dev/stdout, 3 for /dev/fd/3 and /proc/self/fd/3. It returns -1 for other
// names.
func Descriptor(name string) int {
	if name == "-" {
		return 1
	}
	switch name = filepath.Clean(name); name {
	case "/dev/stdout":
		return 1
	case "/dev/stderr":
		return 2
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"} {
		if digits, ok := strings.CutPrefix(name, dir); ok {
			if fd, err := strconv.ParseUint(digits, 10, 31); err == nil {
				return int(fd)
			}
		}
	}
	return -1
}

// Open opens the output of that name. Nothing is changed under the name before
// Complete, unless it is written in place. Open waits for the reader of a pipe until
// ctx is done.
func Open(ctx context.Context, name string, o Options) (*File, error) {
	if fd := Descriptor(name); fd >= 0 {
		f, err := duplicate(fd, name)
		return &File{File: f, name: name}, err
	}
	st, err := os.Lstat(name)
	link := err == nil && st.Mode()&fs.ModeSymlink != 0
	if link {
		if st, err = os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			st, err = nil, nil // to nothing
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(name, "/"):
		return create(name, o)
	case err != nil:
		return nil, err
	case st != nil && st.IsDir():
		return nil, fmt.Errorf("%s is a directory; name a file", name)
	case link && (st == nil || st.Mode().IsRegular()):
		if err := o.Replace.link(name, st != nil); err != nil {
			return nil, err
		}
		return create(name, o)
	case link:
		return nil, fmt.Errorf("%s is a link to a %s, and links are not followed; name the %[2]s itself", name, kindOf(st.Mode()))
	case st.Mode().IsRegular():
		if err := o.Replace.file(name, "--force replaces it"); err != nil {
			return nil, err
		}
		return create(name, o)
	case isBlockDevice(st.Mode()) && o.Replace == Nothing:
		return nil, fmt.Errorf("%s is a block device; --force overwrites what is on it", name)
	case isBlockDevice(st.Mode()) && o.Replace == Reports:
		return nil, fmt.Errorf("%s is a block device and is not overwritten; name a file", name)
	}
	f, err := openInPlace(ctx, name, st)
	return &File{File: f, name: name}, err
}

// file returns an error if an existing file may not be replaced. The hint says what
// to do about it.
func (r Replace) file(name, hint string) error {
	switch r {
	case Nothing:
		return fmt.Errorf("%s exists; %s", name, hint)
	case Reports:
		tape, err := isTape(name)
		if tape {
			err = fmt.Errorf("%s is a tape and is not overwritten; name another file", name)
		}
		return err
	}
	return nil
}

// link returns an error if a link may not be replaced. It leads to a file, or to
// nothing.
func (r Replace) link(name string, toFile bool) error {
	switch {
	case r == Nothing:
		return fmt.Errorf("%s exists: it is a link, and links are not followed; name its target, or replace the link with --force", name)
	case toFile:
		return r.file(name, "")
	}
	return nil
}

func isTape(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, 16)
	n, _ := io.ReadFull(f, head)
	return strings.Contains(string(head[:n]), "topotape"), nil
}

func isBlockDevice(m fs.FileMode) bool { return m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0 }

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case isBlockDevice(m):
		return "block device"
	case m&fs.ModeDevice != 0:
		return "character device"
	}
	return "special file"
}

// openInPlace opens a device, a pipe or a socket. It waits until a pipe has a reader.
func openInPlace(ctx context.Context, name string, was fs.FileInfo) (*os.File, error) {
	if was.Mode()&fs.ModeSocket != 0 {
		c, err := new(net.Dialer).DialContext(ctx, "unix", name)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return c.(*net.UnixConn).File()
	}
	flags := os.O_WRONLY | syscall.O_NONBLOCK | noFollow
	if isBlockDevice(was.Mode()) {
		flags |= os.O_EXCL // refused if it is mounted
	}
	for {
		f, err := os.OpenFile(name, flags, 0)
		if err == nil {
			if st, err := f.Stat(); err != nil || !os.SameFile(st, was) {
				return nil, errors.Join(fmt.Errorf("%s was replaced while it was opened; try again", name), err, f.Close())
			}
			return f, nil
		}
		if !errors.Is(err, syscall.ENXIO) || was.Mode()&fs.ModeNamedPipe == 0 {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: the pipe has no reader: %w", name, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
