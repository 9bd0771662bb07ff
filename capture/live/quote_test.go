package live

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/quote"
)

// hostileText is what a kernel, another program or the name of a file may contain.
const hostileText = "x\x1b[31m\a\r\nFORGED\t\x7f\x9b\u009b\u202e\u200b\u2028\xff"

const quotedText = `x\x1b[31m\a\r\nFORGED\t\x7f\x9b\u009b\u202e\u200b\u2028\xff`

// checkQuoted checks that every line is printable and none begins within a text.
func checkQuoted(t *testing.T, output string) {
	t.Helper()
	for line := range strings.Lines(output) {
		if line = strings.TrimSuffix(line, "\n"); quote.Text(line) != line || strings.HasPrefix(line, "FORGED") {
			t.Errorf("raw: %q", line)
		}
	}
}

type panickingCore struct{ fakeCore }

func (*panickingCore) Report(bool) Report { panic(hostileText) }

type describedFake struct{ fake }

func (*describedFake) Describe() []string { return []string{hostileText} }

// hostileMachine has a host and sources that report hostile text wherever they can.
func hostileMachine() *machine {
	failure := errors.New(hostileText)
	opened := func(ctx context.Context, out chan<- *collect.Batch) error {
		out <- &collect.Batch{Records: []capture.Record{of(capture.KindSource, 1, 0, &capture.Source{Open: true, Kind: hostileText, Why: hostileText})}}
		<-ctx.Done()
		return nil
	}
	m := fakeMachine(conntrackSource(&describedFake{fake{run: opened, why: hostileText}}), procSource(&fake{openErr: failure}),
		source{Collector: &fake{run: func(context.Context, chan<- *collect.Batch) error { return failure }}, number: 3, kind: capture.SourceDNS})
	m.host = func(*Options) (capture.Host, error) {
		return capture.Host{ID: hostileText, Name: hostileText, Kernel: hostileText, Sysctls: []capture.Sysctl{{Name: hostileText, Value: hostileText}}}, failure
	}
	return m
}

// No text of the host, of a source, of the core or of a file's name is written raw: to
// the log, to the status line and to the summary.
func TestRecordingWritesNothingRaw(t *testing.T) {
	o := options(t)
	o.Output = filepath.Join(filepath.Dir(o.Output), hostileText)
	var log, status, text bytes.Buffer
	o.Log, o.Status, o.Interval = &log, &status, 100*time.Millisecond
	o.NewCore = func(*capture.Header) (Core, error) { return &panickingCore{}, nil }
	summary, err := start(t, o, hostileMachine()).after(t, 2500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := summary.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{log.String(), text.String()} {
		checkQuoted(t, output)
		if strings.Count(output, quotedText) < 4 {
			t.Errorf("the text is shown too rarely:\n%s", output)
		}
	}
	line := strings.NewReplacer("\r", "", "\x1b[K", "").Replace(status.String())
	if line == "" {
		t.Error("no status line")
	}
	checkQuoted(t, line)
}

// A status line is cut to the width of a terminal, between characters.
func TestStatusIsQuoted(t *testing.T) {
	var b strings.Builder
	c := console{status: &b}
	c.show(strings.Repeat("é"+hostileText, 20))
	line, isStatus := strings.CutPrefix(strings.TrimSuffix(b.String(), "\x1b[K"), "\r")
	checkQuoted(t, line)
	if n := len([]rune(line)); !isStatus || n != statusWidth {
		t.Errorf("%d characters: %q", n, b.String())
	}
}

// Every text of a summary is written, and quoted.
func TestSummaryIsQuoted(t *testing.T) {
	s := Summary{Sources: make([]SourceSummary, 1)}
	want := 0
	for _, v := range []reflect.Value{reflect.ValueOf(&s).Elem(), reflect.ValueOf(&s.Sources[0]).Elem()} {
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.String {
				f.SetString(hostileText)
				want++
			}
		}
	}
	var b strings.Builder
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	checkQuoted(t, b.String())
	if strings.Count(b.String(), quotedText) < want {
		t.Errorf("want %d texts:\n%s", want, &b)
	}
}

func TestDryRunWritesNothingRaw(t *testing.T) {
	for _, output := range []string{filepath.Join(t.TempDir(), hostileText), ""} {
		o := options(t)
		o.Output = output
		var b bytes.Buffer
		if err := dryRun(o, hostileMachine(), &b); err != nil {
			t.Fatal(err)
		}
		checkQuoted(t, b.String())
		if strings.Count(b.String(), quotedText) < 9 {
			t.Errorf("the text is shown too rarely:\n%s", &b)
		}
	}
}

// The default name of a tape has nothing that must be quoted.
func TestDefaultNameIsPrintable(t *testing.T) {
	if name := defaultName(hostileText+"é", time.Time{}); quote.Text(name) != name || !strings.HasPrefix(name, "x_") || !strings.Contains(name, "é") {
		t.Errorf("%q", name)
	}
}
