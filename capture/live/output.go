package live

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

// partial is appended to the file's name until the tape is closed.
const partial = ".partial"

// output is the destination of the tape: a new file, or a device, pipe or socket
// that is written in place.
type output struct {
	io.Writer
	name    string   // for messages
	file    *os.File // the new file, nil if written in place
	disk    *os.File // the file that grows on a disk, nil if none does
	dir     *os.Root // directory of the new file
	base    string   // its final name there
	force   bool
	close   func() error
	written int64 // bytes of the writes that succeeded
}

// openOutput creates the file, or opens what exists under its name.
func openOutput(ctx context.Context, o *Options, host string, now time.Time) (*output, error) {
	if o.Output == "-" {
		return openStdout(o.stdout), nil
	}
	path := o.Output
	if path == "" {
		path = defaultName(host, now)
	}
	st, err := os.Stat(path)
	switch {
	case err == nil && st.IsDir() || strings.HasSuffix(path, "/"):
		return nil, fmt.Errorf("%s: a ring of segments is not available in this version: name a file", path)
	case err == nil && !st.Mode().IsRegular():
		return openInPlace(ctx, path, st.Mode())
	case err == nil && !o.Force:
		return nil, fmt.Errorf("%s exists: --force replaces it", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return createFile(path, o.Force)
}

func openStdout(f *os.File) *output {
	out := &output{Writer: f, name: "standard output", close: func() error { return nil }}
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
		out.disk = f
	}
	return out
}

// defaultName returns HOST-20260102T030405Z.tape, all of it printable.
func defaultName(host string, now time.Time) string {
	safe := strings.Map(func(r rune) rune {
		if r == '/' || !strconv.IsPrint(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(host, "_"))
	safe = strings.TrimLeft(safe, "-.")
	if safe == "" {
		safe = "host"
	}
	return safe + now.UTC().Format("-20060102T150405Z.tape")
}

func createFile(path string, force bool) (*output, error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	base := filepath.Base(path)
	f, err := dir.OpenFile(base+partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		dir.Close()
		if errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("%s%s exists: another recording writes it, or one was not closed; topotape replay reads it; move it away or remove it", path, partial)
		}
		return nil, fmt.Errorf("create %s%s: %w", path, partial, errors.Unwrap(err))
	}
	if uid, gid, ok := sudoUser(os.Geteuid(), os.Getenv); ok {
		f.Chown(uid, gid) // on failure, as on a network share, the file stays root's
	}
	return &output{Writer: f, file: f, disk: f, dir: dir, base: base, name: path, force: force, close: f.Close}, nil
}

// sudoUser returns the user who called sudo; ok is false if we are not root, or
// not by sudo.
func sudoUser(euid int, env func(string) string) (uid, gid int, ok bool) {
	if euid != 0 {
		return 0, 0, false
	}
	uid, err1 := strconv.Atoi(env("SUDO_UID"))
	gid, err2 := strconv.Atoi(env("SUDO_GID"))
	return uid, gid, err1 == nil && err2 == nil && uid >= 0 && gid >= 0
}

// openInPlace opens a device, a pipe or a socket. It waits until a pipe has a
// reader.
func openInPlace(ctx context.Context, path string, mode fs.FileMode) (*output, error) {
	if mode&fs.ModeSocket != 0 {
		c, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			return nil, err
		}
		return &output{Writer: c, name: path, close: c.Close}, nil
	}
	for {
		f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			return &output{Writer: f, name: path, close: f.Close}, nil
		}
		if !errors.Is(err, syscall.ENXIO) || mode&fs.ModeNamedPipe == 0 {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: the pipe has no reader: %w", path, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err == nil {
		o.written += int64(n)
	}
	return n, err
}

// sync writes the file's data to the disk, so that it survives a power failure.
func (o *output) sync() error {
	if o.disk == nil {
		return nil
	}
	return datasync(o.disk)
}

// free returns how many bytes the disk has left, -1 without a disk.
func (o *output) free() int64 {
	if o.disk == nil {
		return -1
	}
	return diskFree(o.disk)
}

// commit closes a finished tape and renames it to its final name.
func (o *output) commit() error {
	if o.file == nil {
		return o.close()
	}
	defer o.dir.Close()
	if err := errors.Join(o.file.Sync(), o.file.Close()); err != nil {
		return err
	}
	if err := o.rename(); err != nil {
		return fmt.Errorf("the tape keeps the name %s%s: %w", o.name, partial, err)
	}
	d, err := o.dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// rename replaces a file that appeared during the recording only with force.
func (o *output) rename() error {
	if !o.force {
		err := o.dir.Link(o.base+partial, o.base)
		if err == nil {
			return o.dir.Remove(o.base + partial)
		}
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		// a file system without hard links
		if _, err := o.dir.Lstat(o.base); err == nil {
			return fmt.Errorf("%s: %w", o.base, fs.ErrExist)
		}
	}
	return o.dir.Rename(o.base+partial, o.base)
}

// cut closes a tape that could not be finished. It removes a partly written
// frame, so that the tape ends at a frame's boundary.
func (o *output) cut() error {
	if o.file == nil {
		return o.close()
	}
	defer o.dir.Close()
	o.name += partial
	return errors.Join(o.file.Truncate(o.written), o.file.Sync(), o.file.Close())
}

// discard closes and removes a file to which nothing was written.
func (o *output) discard() {
	o.close()
	if o.file != nil {
		o.dir.Remove(o.base + partial)
		o.dir.Close()
	}
}
