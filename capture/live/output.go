package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/topotape/topotape/capture/outfile"
)

// partial is appended to the file's name until the tape is closed.
const partial = ".partial"

// output is the destination of the tape: a new file, or a device, pipe or socket
// that is written in place.
type output struct {
	io.Writer
	name     string        // for messages: where the tape is
	file     *outfile.File // nil for standard output
	disk     *os.File      // the file that grows on a disk, nil if none does
	written  atomic.Int64  // bytes of the whole frames in it
	synced   atomic.Int64  // of them, the bytes that are on the disk for certain
	unsynced atomic.Bool   // a sync failed: what it was to write may be lost
}

// openOutput creates the file, or opens what exists under its name.
func openOutput(ctx context.Context, o *Options, host string, now time.Time) (*output, error) {
	path := o.Output
	switch {
	case path == "":
		path = defaultName(host, now)
	case outfile.Descriptor(path) == 1:
		return openStdout(o.stdout), nil
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() || strings.HasSuffix(path, "/") {
		return nil, fmt.Errorf("%s: a ring of segments is not available in this version: name a file", path)
	}
	may := outfile.Nothing
	if o.Force {
		may = outfile.Anything
	}
	f, err := outfile.Open(ctx, path, outfile.Options{Suffix: partial, Replace: may})
	if err != nil {
		return nil, err
	}
	out := &output{Writer: f, file: f, name: path}
	if !f.InPlace() {
		out.disk = f.File
	}
	return out, nil
}

func openStdout(f *os.File) *output {
	out := &output{Writer: f, name: "standard output"}
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

// Write writes one frame. It fails if another program has removed, replaced or truncated
// the file.
func (o *output) Write(b []byte) (int, error) {
	if err := o.check(); err != nil && !errors.Is(err, outfile.ErrRenamed) {
		return 0, err
	}
	n, err := o.Writer.Write(b)
	if err == nil {
		o.written.Add(int64(n))
	}
	return n, err
}

// check reports whether another program has removed, renamed, replaced or truncated the
// file.
func (o *output) check() error {
	if o.file == nil {
		return nil
	}
	return o.file.Check(o.written.Load())
}

// sync writes the file's data to the disk, so that it survives a power failure. The
// kernel reports a failure once; a later success says nothing about that data.
func (o *output) sync() error {
	if o.disk == nil || o.unsynced.Load() {
		return nil
	}
	written := o.written.Load()
	if err := datasync(o.disk); err != nil {
		o.unsynced.Store(true)
		return err
	}
	o.synced.Store(written)
	return nil
}

// free returns how many bytes the disk has left, -1 without a disk.
func (o *output) free() int64 {
	if o.disk == nil {
		return -1
	}
	return diskFree(o.disk)
}

// commit closes a finished tape and gives it its name.
func (o *output) commit() error {
	if o.file == nil {
		return nil
	}
	name := o.name
	o.name = o.file.Where()
	err := o.sync()
	if err != nil {
		return errors.Join(err, o.file.Close())
	}
	if err = o.file.Complete(); err == nil {
		o.name = name
	}
	return err
}

// cut closes a tape that could not be finished. It removes what follows the whole
// frames, so that the tape ends at a frame's boundary.
func (o *output) cut() error {
	if o.file == nil {
		return nil
	}
	if o.file.InPlace() {
		return o.file.Close()
	}
	var err error
	if st, _ := o.file.Stat(); st != nil && st.Size() != o.written.Load() && o.written.Load() > 0 {
		err = o.file.Truncate(o.written.Load())
	}
	return errors.Join(err, o.sync(), o.file.Close())
}

// lost returns what another program did to the file that ends a recording, nil if
// nothing. It sets where the tape is, and how many bytes of it are left.
func (o *output) lost() error {
	err := o.check()
	if o.file == nil || o.file.InPlace() {
		return nil
	}
	if where := o.file.Where(); where != "" {
		o.name = where
	} else {
		o.name += partial
		o.written.Store(0)
	}
	if errors.Is(err, outfile.ErrRenamed) {
		return nil
	}
	return err
}

// saved says where the records of a tape are that was not finished.
func (o *output) saved(records uint64) string {
	written := o.written.Load()
	if written == 0 {
		return "nothing was saved"
	}
	text := fmt.Sprintf("%d records (%s) were saved in %s", records, size(written), o.name)
	if o.unsynced.Load() {
		text += fmt.Sprintf(", of which the disk has confirmed %s", size(o.synced.Load()))
	}
	return text
}

// discard closes and removes a file to which nothing was written.
func (o *output) discard() {
	if o.file != nil {
		o.file.Discard()
	}
}
