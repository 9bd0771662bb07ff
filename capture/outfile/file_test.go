//go:build unix

package outfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// begin opens a new file in a new directory and writes a text.
func begin(t *testing.T, o Options) (f *File, name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "out")
	o.Suffix = ".part"
	f, err := Open(context.Background(), name, o)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	_, err = f.WriteString("0123456789")
	must(t, err)
	return f, name
}

func TestFileHasItsNameWhenItIsComplete(t *testing.T) {
	f, name := begin(t, Options{})
	if l := list(t, filepath.Dir(name)); l != "out.part" {
		t.Errorf("the directory has %s", l)
	}
	if st, err := f.Stat(); err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if f.Where() != name+".part" || f.Check(10) != nil || f.InPlace() {
		t.Errorf("%s, %v, %v", f.Where(), f.Check(10), f.InPlace())
	}
	must(t, f.Complete())
	if l := list(t, filepath.Dir(name)); l != "out" || content(t, name) != "0123456789" {
		t.Errorf("the directory has %s", l)
	}

	f, name = begin(t, Options{})
	must(t, f.Discard())
	if l := list(t, filepath.Dir(name)); l != "" {
		t.Errorf("the directory has %s", l)
	}
}

func TestFileThatAppearsIsKept(t *testing.T) {
	f, name := begin(t, Options{})
	must(t, os.WriteFile(name, []byte("precious"), 0o600))
	if err := f.Complete(); err == nil || !strings.Contains(err.Error(), "keeps the name "+name+".part") {
		t.Errorf("error %v", err)
	}
	if content(t, name) != "precious" || content(t, name+".part") != "0123456789" {
		t.Error("the content is wrong")
	}
}

// What another program does to the file is noticed, and Complete and Discard leave
// alone what that program put there.
func TestOtherProgramsAreNoticed(t *testing.T) {
	for _, c := range []struct {
		what     string
		do       func(part string) error
		want     error
		where    string // at the end of the name; "" if it has none
		complete string // error
		left     string // in the directory after Discard
	}{
		{"remove", os.Remove, errRemoved, "", "another program removed it", ""},
		{"truncate", func(p string) error { return os.Truncate(p, 9) }, ErrTruncated, "out.part", "", ""},
		{"append", func(p string) error { return os.Truncate(p, 11) }, nil, "out.part", "", ""},
		{"rename", func(p string) error { return os.Rename(p, p+".old") }, ErrRenamed, "out.part.old", "it is complete and has the name", "out.part.old"},
		{"complete", func(p string) error { return os.Rename(p, strings.TrimSuffix(p, ".part")) }, ErrRenamed, "out", "", "out"},
		{"replace", func(p string) error { return errors.Join(os.WriteFile(p+".new", nil, 0o600), os.Rename(p+".new", p)) },
			errReplaced, "", "another program put another file in its place", "out.part"},
		{"rename and replace", func(p string) error { return errors.Join(os.Rename(p, p+".old"), os.WriteFile(p, nil, 0o600)) },
			errReplaced, "out.part.old", "another program put another file in its place", "out.part out.part.old"},
		{"link in its place", func(p string) error { return errors.Join(os.Rename(p, p+".old"), os.Symlink("out.part.old", p)) },
			errReplaced, "out.part.old", "another program put another file in its place", "out.part out.part.old"},
		{"hard link", func(p string) error { return os.Link(p, p+".old") }, nil, "out.part", "", "out.part.old"},
		{"hard link, remove", func(p string) error { return errors.Join(os.Link(p, p+".old"), os.Remove(p)) },
			ErrRenamed, "another name than ", "it is complete and has", "out.part.old"},
	} {
		f, name := begin(t, Options{})
		must(t, c.do(name+".part"))
		if err := f.Check(10); !errors.Is(err, c.want) || c.want != nil && !strings.Contains(err.Error(), "out.part: another program") {
			t.Errorf("%s: Check returns %v", c.what, err)
		}
		if where := f.Where(); !strings.HasSuffix(where, c.where) && !strings.HasPrefix(where, c.where) || (where == "") != (c.where == "") {
			t.Errorf("%s: it is in %q", c.what, where)
		}
		must(t, errors.Join(f.Discard()))
		if l := list(t, filepath.Dir(name)); l != c.left {
			t.Errorf("%s: the directory has %q after Discard", c.what, l)
		}

		f, name = begin(t, Options{})
		must(t, c.do(name+".part"))
		if err := f.Complete(); c.complete == "" && err != nil || c.complete != "" && (err == nil || !strings.Contains(err.Error(), c.complete)) {
			t.Errorf("%s: Complete returns %v", c.what, err)
		}
	}
}

func TestFileThatIsBeingWrittenIsNotReplaced(t *testing.T) {
	f, name := begin(t, Options{})
	for _, may := range []Replace{Nothing, Reports, Anything} {
		if err := write(name, Options{Suffix: ".part", Replace: may}, "new"); err == nil || !strings.Contains(err.Error(), "another topotape is writing it") {
			t.Errorf("%d: error %v", may, err)
		}
	}
	must(t, f.Close()) // as if it had been killed
	must(t, write(name, Options{Suffix: ".part", Replace: Anything}, "new"))
}

// Of those that write one name at a time, each writes a file of its own.
func TestManyWritersOfOneName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out")
	must(t, os.WriteFile(name+".part", []byte("left over"), 0o600))
	for range 50 {
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				text := strings.Repeat(string(rune('a'+i)), 1000)
				f, err := Open(context.Background(), name, Options{Suffix: ".part", Replace: Anything})
				if err != nil {
					if !strings.Contains(err.Error(), "another topotape is writing it") {
						t.Error(err)
					}
					return
				}
				if _, err := f.WriteString(text); err != nil {
					t.Error(err)
				}
				if err := f.Check(int64(len(text))); err != nil {
					t.Error(err)
				}
				if err := f.Complete(); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if b := content(t, name); len(b) != 1000 || strings.Trim(b, b[:1]) != "" {
			t.Fatalf("the file has %d bytes: %.20q", len(b), b)
		}
		if l := list(t, filepath.Dir(name)); l != "out" {
			t.Fatalf("the directory has %s", l)
		}
	}
}

func TestSudoUser(t *testing.T) {
	for _, c := range []struct {
		euid           int
		user, group    string
		uid, gid, fail int
	}{
		{0, "1000", "100", 1000, 100, 0},
		{0, "0", "0", 0, 0, 0},
		{0, "", "", -1, -1, 0},
		{500, "1000", "100", -1, -1, 0},
		{500, "x", "100", -1, -1, 0},
		{0, "1000", "", -1, -1, 1},
		{0, "", "100", -1, -1, 1},
		{0, "-1", "100", -1, -1, 1},
		{0, "+1", "100", -1, -1, 1},
		{0, "1000", "x", -1, -1, 1},
		{0, "4294967295", "100", -1, -1, 1}, // "unchanged" for chown
		{0, "4294967296", "100", -1, -1, 1},
		{0, " 1000", "100", -1, -1, 1},
	} {
		env := map[string]string{"SUDO_UID": c.user, "SUDO_GID": c.group}
		uid, gid, err := sudoUser(c.euid, func(k string) string { return env[k] })
		if uid != c.uid || gid != c.gid || (err != nil) != (c.fail > 0) {
			t.Errorf("%+v: %d, %d, %v", c, uid, gid, err)
		}
	}
}

func TestFileBelongsToTheUserOfSudo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file away")
	}
	t.Setenv("SUDO_UID", "1234")
	t.Setenv("SUDO_GID", "567")
	f, name := begin(t, Options{})
	must(t, f.Complete())
	st, err := os.Stat(name)
	must(t, err)
	if sys := st.Sys().(*syscall.Stat_t); sys.Uid != 1234 || sys.Gid != 567 || f.Warning != "" {
		t.Errorf("%d:%d, %s", sys.Uid, sys.Gid, f.Warning)
	}
	t.Setenv("SUDO_UID", "alice")
	f, _ = begin(t, Options{})
	if st, err = f.Stat(); err != nil || st.Sys().(*syscall.Stat_t).Uid != 0 || !strings.Contains(f.Warning, `belongs to root: SUDO_UID="alice" is not the number`) {
		t.Errorf("%v, %q", err, f.Warning)
	}
}
