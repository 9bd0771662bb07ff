package live

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/tape"
)

// tampering is what another program does to the file of a recording, and what the
// recorder says.
var tampering = []struct {
	what string
	do   func(t *testing.T, file string)
	want string // in the error
	tape string // where the records are that the summary counts, "" if nowhere
}{
	{"remove", func(t *testing.T, file string) { must(t, os.Remove(file)) },
		"another program removed it; nothing was saved", ""},
	{"remove the directory", func(t *testing.T, file string) { must(t, os.RemoveAll(filepath.Dir(file))) },
		"another program removed it; nothing was saved", ""},
	{"replace", func(t *testing.T, file string) {
		must(t, os.WriteFile(file+".new", []byte("precious"), 0o600))
		must(t, os.Rename(file+".new", file))
	}, "another program put another file in its place; nothing was saved", ""},
	{"rename and replace", func(t *testing.T, file string) {
		must(t, os.Rename(file, file+".old"))
		must(t, os.WriteFile(file, []byte("precious"), 0o600))
	}, "another program put another file in its place; ", ".old"},
	{"truncate", func(t *testing.T, file string) {
		st, err := os.Stat(file)
		must(t, err)
		must(t, os.Truncate(file, st.Size()/2))
	}, "another program made it shorter; ", "."},
	{"truncate inside the last frame", func(t *testing.T, file string) {
		st, err := os.Stat(file)
		must(t, err)
		must(t, os.Truncate(file, st.Size()-1))
	}, "another program made it shorter; ", "."},
	{"empty", func(t *testing.T, file string) { must(t, os.Truncate(file, 0)) },
		"another program made it shorter; nothing was saved", ""},
	{"empty but for a part of the head", func(t *testing.T, file string) { must(t, os.Truncate(file, 100)) },
		"another program made it shorter; nothing was saved", ""},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begun starts a recording and waits until its file has several frames.
func begun(t *testing.T, o Options, source *fake) *recording {
	s := start(t, o, fakeMachine(conntrackSource(source)))
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if st, err := os.Stat(o.Output + partial); err == nil && st.Size() > 100_000 {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal("the file stays small")
		}
	}
}

// twoBatches sends no more than two batches.
func twoBatches() *fake {
	return &fake{run: func(ctx context.Context, out chan<- *collect.Batch) error {
		two, cancel := context.WithCancel(ctx)
		batches, done := make(chan *collect.Batch), make(chan error, 1)
		go func() { done <- noise().run(two, batches) }()
		out <- <-batches
		out <- <-batches
		cancel()
		for {
			select {
			case <-batches:
			case err := <-done:
				<-ctx.Done()
				return err
			}
		}
	}}
}

func TestTamperingEndsTheRecording(t *testing.T) {
	for _, c := range tampering {
		for _, idle := range []bool{false, true} {
			if idle && strings.Contains(c.what, " ") {
				continue // it takes a second
			}
			o, source := options(t), slowly(noise())
			o.Output = filepath.Join(t.TempDir(), "dir", "a.tape")
			must(t, os.Mkdir(filepath.Dir(o.Output), 0o700))
			if idle { // nothing is written, so only the check every second finds it
				o.Interval, source = time.Hour, twoBatches()
			}
			s := begun(t, o, source)
			file := o.Output + partial
			c.do(t, file)
			at := time.Now()
			select {
			case <-s.done:
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: the recording goes on", c.what)
			}
			if d := time.Since(at); d > 1500*time.Millisecond {
				t.Errorf("%s: noticed after %s", c.what, d)
			}
			if s.err == nil || !strings.Contains(s.err.Error(), file+": "+c.want) || s.summary.Closed || !strings.Contains(s.summary.Why, "another program") {
				t.Errorf("%s: summary %+v, error %v", c.what, s.summary, s.err)
			}
			if c.tape == "" {
				if s.summary.Records != 0 || s.summary.Bytes != 0 || s.summary.Sources[0].Recorded != 0 {
					t.Errorf("%s: summary %+v", c.what, s.summary)
				}
				if b, err := os.ReadFile(file); err == nil && c.what == "replace" && string(b) != "precious" {
					t.Errorf("the other file has %q", b)
				}
				continue
			}
			if c.tape != "." {
				file += c.tape
			}
			checkSaved(t, file, s.summary, s.err)
		}
	}
}

func TestRenamedFileIsWrittenToTheEnd(t *testing.T) {
	for _, to := range []string{"b.tape", "a.tape"} {
		o := options(t)
		var log strings.Builder
		o.Log = &log
		s := begun(t, o, slowly(noise()))
		name := filepath.Join(filepath.Dir(o.Output), to)
		must(t, os.Rename(o.Output+partial, name))
		summary, err := s.after(t, 1200*time.Millisecond)
		f, openErr := os.Open(name)
		must(t, openErr)
		_, records, ending := readTape(t, f)
		f.Close()
		if ending != tape.Closed || summary.Records != uint64(len(records)) || len(find(records, capture.KindEnd)) != 1 || !summary.Closed || summary.File != name {
			t.Errorf("%s: %v tape of %d records, summary %+v", to, ending, len(records), summary)
		}
		if want := "a.tape.partial: another program renamed it: the recording goes on in " + name; strings.Count(log.String(), want) != 1 {
			t.Errorf("%s: logged %q", to, log.String())
		}
		if to == "a.tape" {
			if err != nil {
				t.Errorf("it has its final name already: %v", err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "another program renamed it; it is complete and has the name "+name) {
			t.Errorf("error %v", err)
		}
	}
}
