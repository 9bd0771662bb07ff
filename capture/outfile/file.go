package outfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// What Check finds.
var (
	errRemoved  = errors.New("another program removed it")
	errReplaced = errors.New("another program put another file in its place")

	ErrRenamed   = errors.New("another program renamed it")
	ErrTruncated = errors.New("another program made it shorter")
)

// A File is an output: a new file, or something that is written in place.
type File struct {
	*os.File
	// Warning says why the file does not belong to the user who called sudo; "" if it
	// does, or nobody did.
	Warning string

	name    string   // the output
	dir     *os.Root // its directory; nil if it is written in place
	base    string   // its name there
	suffix  string
	replace Replace
}

// create makes a new file under its temporary name.
func create(name string, o Options) (*File, error) {
	dir, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	f := &File{name: name, dir: dir, base: filepath.Base(name), suffix: o.Suffix, replace: o.Replace}
	if err := f.create(); err != nil {
		dir.Close()
		return nil, err
	}
	if err := Own(f.File); err != nil {
		f.Warning = fmt.Sprintf("%s belongs to root: %v", name, err)
	}
	return f, nil
}

func (f *File) create() (err error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	f.File, err = f.dir.OpenFile(f.base+f.suffix, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if err := f.removeLeftover(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f.File, err = f.dir.OpenFile(f.base+f.suffix, flags, 0o600)
	}
	if errors.Is(err, fs.ErrExist) {
		return f.busy()
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", f.temporary(), errors.Unwrap(err))
	}
	// Before the lock, another process may take the file for a leftover.
	if !lock(f.File, true) || f.present() != nil {
		return errors.Join(f.busy(), f.File.Close())
	}
	return nil
}

// removeLeftover removes the temporary file of a process that was killed. Whoever
// removes such a file has its lock.
func (f *File) removeLeftover() error {
	st, err := f.dir.Lstat(f.base + f.suffix)
	if err != nil {
		return err
	}
	if st.Mode().IsRegular() {
		old, err := f.dir.OpenFile(f.base+f.suffix, os.O_RDONLY|noFollow, 0)
		if err != nil {
			return err
		}
		defer old.Close()
		if now, err := old.Stat(); err != nil || !os.SameFile(st, now) || !lock(old, false) {
			return f.busy()
		}
		if now, err := f.dir.Lstat(f.base + f.suffix); err != nil || !os.SameFile(st, now) {
			return f.busy()
		}
		if err := f.replace.file(f.temporary(), "a topotape that was killed left it: --force replaces it, topotape replay reads it if it is a tape"); err != nil {
			return err
		}
	} else if f.replace != Anything {
		return fmt.Errorf("%s exists and is not a file; remove it", f.temporary())
	}
	return f.dir.Remove(f.base + f.suffix)
}

func (f *File) busy() error {
	return fmt.Errorf("%s exists: another topotape is writing it; name another file", f.temporary())
}

// temporary returns the file's name until it is complete.
func (f *File) temporary() string { return f.name + f.suffix }

// InPlace reports whether the output is no new file.
func (f *File) InPlace() bool { return f.dir == nil }

// Check reports whether another program has removed, renamed, replaced or truncated
// the file, of which size bytes were written. The error is one of this package.
func (f *File) Check(size int64) error {
	if f.InPlace() {
		return nil
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() < size {
		return fmt.Errorf("%s: %w", f.temporary(), ErrTruncated)
	}
	return f.present()
}

// present returns an error if the temporary name is not that of the file.
func (f *File) present() error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	now, err := f.dir.Lstat(f.base + f.suffix)
	switch {
	case err == nil && os.SameFile(st, now):
		return nil
	case err == nil:
		err = errReplaced
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case links(st) == 0:
		err = errRemoved
	default:
		err = ErrRenamed
	}
	return fmt.Errorf("%s: %w", f.temporary(), err)
}

// Where returns the name that the open file has now, "" if it was removed.
func (f *File) Where() string {
	if f.InPlace() {
		return f.name
	}
	st, err := f.Stat()
	switch {
	case err != nil || f.present() == nil:
		return f.temporary()
	case links(st) == 0:
		return ""
	}
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err == nil {
		if now, err := os.Stat(name); err == nil && os.SameFile(st, now) {
			return name
		}
	}
	return "another name than " + f.temporary()
}

// Complete gives the file its name and closes it. If it fails, the file keeps the name
// that it has.
func (f *File) Complete() error {
	if f.InPlace() {
		return f.File.Close()
	}
	return errors.Join(f.complete(), f.Close())
}

func (f *File) complete() error {
	if err := f.Sync(); err != nil {
		return err
	}
	err := f.present()
	switch {
	case errors.Is(err, ErrRenamed) && f.isBase():
		return nil
	case errors.Is(err, ErrRenamed):
		return fmt.Errorf("%w; it is complete and has the name %s", err, f.Where())
	case err != nil:
		return err
	}
	if err := f.rename(); err != nil {
		return fmt.Errorf("the file is complete but keeps the name %s: %w", f.temporary(), err)
	}
	return syncDirectory(f.dir)
}

// isBase reports whether the final name is that of the open file.
func (f *File) isBase() bool {
	st, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := f.dir.Lstat(f.base)
	return err == nil && os.SameFile(st, now)
}

// rename gives the file its name. It replaces what appeared there in the meantime only
// if the user allowed that.
func (f *File) rename() error {
	if f.replace == Nothing {
		err := f.dir.Link(f.base+f.suffix, f.base)
		if err == nil {
			return f.dir.Remove(f.base + f.suffix)
		}
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		// a file system without hard links
		if _, err := f.dir.Lstat(f.base); err == nil {
			return fmt.Errorf("%s: %w", f.base, fs.ErrExist)
		}
	}
	return f.dir.Rename(f.base+f.suffix, f.base)
}

// Close closes the file, which keeps its temporary name.
func (f *File) Close() error {
	err := f.File.Close()
	if f.dir != nil {
		f.dir.Close()
	}
	return err
}

// Discard closes the file and removes it.
func (f *File) Discard() error {
	if f.InPlace() {
		return f.File.Close()
	}
	defer f.dir.Close()
	ours := f.present() == nil
	err := f.File.Close()
	if ours {
		err = errors.Join(err, f.dir.Remove(f.base+f.suffix))
	}
	return err
}
