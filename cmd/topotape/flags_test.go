package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/fold"
)

// badValues has, for each type of flag, texts that its flags reject, each with a part
// of the error.
var badValues = map[string]map[string]string{
	"time": {"": "want a time", "yesterday": "want RFC 3339, +1m30s from the start", "+1": "want RFC 3339",
		"#": "want RFC 3339", "#-1": "want RFC 3339", "mark:": "want RFC 3339", "--5m": "want RFC 3339"},
	"selector":    {"": "* means all", "10.0.0.300": "is not an address", "a->b->c": "want 10.0.0.1->10.0.0.2:80"},
	"expectation": {"": "want a selector and present or absent", "10.0.0.1": "want a selector and present or absent"},
	"kind":        {"": "want one of source, tick, conntrack", "dns,": "want one of source, tick", "dns,dnss": `no kind "dnss"`},
	"rules":       {"other": `there are "current" and "scope2016"`},
	"format":      {"": "want ", "xml": " or "},
	"number":      {"": "at least 1", "0": "at least 1", "-1": "at least 1", "many": "at least 1", "1.5": "at least 1"},
	"rate":        {"": "like 10x or 0.5x", "10": "like 10x", "-1x": "above 0"},
	"duration":    {"": "like 30s or 5m", "0": "above 0", "-1s": "want a duration above 0", "5": "like 30s"},
	"size":        {"": "like 64MiB", "many": "want a size", "-1": "like 64MiB"},
	"sources":     {"": "want one of conntrack, proc, dns, rdns, sockets", "proc,whois": `no source "whois"`},
	"network":     {"10.0.0.0": "like 10.1.0.0/16", "10.0.0.0/8,": `"" is no network`, "10.0.0.0/33": "want an address and a prefix length"},
}

// freeTexts are the types of flags that have no grammar.
var freeTexts = []string{"bool", "string", "stringSlice", "file"}

func eachVerb(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		eachVerb(c, visit)
	}
}

// A bad value of any flag of any verb is a usage error that names the flag, the value
// and what the flag accepts. The verb does not run.
func TestBadValues(t *testing.T) {
	seen := map[string]bool{}
	eachVerb(rootCommand(), func(verb *cobra.Command) {
		verb.Flags().VisitAll(func(f *pflag.Flag) {
			kind := f.Value.Type()
			seen[kind] = true
			bad := badValues[kind]
			if bad == nil && !slices.Contains(freeTexts, kind) {
				t.Errorf("%s --%s: no bad values of type %q", verb.CommandPath(), f.Name, kind)
			}
			for text, want := range bad {
				root := rootCommand()
				root.SetArgs(append(strings.Fields(verb.CommandPath())[1:], "--"+f.Name+"="+text))
				cmd, err := root.ExecuteC()
				var invalid *pflag.InvalidValueError
				var coded *exitError
				if !errors.As(err, &invalid) || errors.As(err, &coded) {
					t.Errorf("%s --%s=%s: %v", verb.CommandPath(), f.Name, text, err)
					continue
				}
				if cmd.CommandPath() != verb.CommandPath() || invalid.GetFlag().Name != f.Name || invalid.GetValue() != text || !strings.Contains(invalid.Unwrap().Error(), want) {
					t.Errorf("%s --%s=%s: %v; want %q in it", verb.CommandPath(), f.Name, text, err, want)
				}
			}
		})
	})
	for kind := range badValues {
		if !seen[kind] {
			t.Errorf("no flag is of type %q", kind)
		}
	}
}

func TestSizes(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1500": 1500, "64MiB": 64 << 20, "1GiB": 1 << 30, "16 KiB": 16 << 10, "1.5GiB": 3 << 29,
		"10MB": 10_000_000, "8k": 8 << 10, "2G": 2 << 30, "7B": 7,
	} {
		if n, err := parseSize(in); err != nil || n != want {
			t.Errorf("%q: %d, %v", in, n, err)
		}
	}
	for _, in := range []string{"", "MiB", "-1", "1 PB", "12q", "9999999999GiB", "NaN", "1e"} {
		if n, err := parseSize(in); err == nil {
			t.Errorf("%q: %d", in, n)
		}
	}
	if n, err := parseLimit("0"); n != -1 || err != nil {
		t.Errorf("no limit: %d, %v", n, err)
	}
	if n, err := parseBuffer("1GiB"); n != 1<<30 || err != nil {
		t.Errorf("the largest buffer: %d, %v", n, err)
	}
	if _, err := parseBuffer("1025MiB"); err == nil || !strings.Contains(err.Error(), "at most 1GiB") {
		t.Errorf("a larger buffer: %v", err)
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]float64{"1x": 1, "10x": 10, "0.5x": 0.5, "1e3x": 1000, "10": 0, "x": 0, "0x": 0, "-1x": 0, "infx": 0, "nanx": 0, "": 0, "10 x": 0} {
		if v, err := parseRate(text); v != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %v: %v", text, v, err)
		}
	}
}

func TestDurations(t *testing.T) {
	if d, err := parseDuration("1m30s"); d != 90*time.Second || err != nil {
		t.Errorf("%v, %v", d, err)
	}
	for _, text := range []string{"0", "0s", "-0s"} {
		if d, err := parseLength(text); err == nil || !strings.Contains(err.Error(), "ring of segments, which this version does not have") {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
}

func TestCounts(t *testing.T) {
	for text, want := range map[string]int{"1": 1, "1000000": 1_000_000, "1_000": 1000, "0x10": 16} {
		if n, err := parseCount(text); n != want || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
}

// setAll gives a flag several times.
func setAll(t *testing.T, f *flagValue, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if err := f.Set(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestSources(t *testing.T) {
	var got []string
	f := sourcesFlag(&got)
	if want := []string{"conntrack", "dns", "proc", "sockets"}; !slices.Equal(got, want) || f.String() != "conntrack,proc,dns,sockets" {
		t.Errorf("default %q, in help %s", got, f)
	}
	setAll(t, f, "proc,conntrack,proc")
	if want := []string{"conntrack", "proc"}; !slices.Equal(got, want) {
		t.Errorf("given: %q, want %q", got, want)
	}
	setAll(t, f, "dns")
	if want := []string{"conntrack", "dns", "proc"}; !slices.Equal(got, want) {
		t.Errorf("given twice: %q, want %q", got, want)
	}
	for _, s := range capture.UsualSources() {
		setAll(t, f, s)
	}
}

func TestListsOfValues(t *testing.T) {
	var kinds []capture.Kind
	setAll(t, kindFlag(&kinds), "dns, gap", "tick")
	if want := []capture.Kind{capture.KindDNS, capture.KindGap, capture.KindTick}; !slices.Equal(kinds, want) {
		t.Errorf("kinds %v, want %v", kinds, want)
	}
	var networks []string
	setAll(t, networkFlag(&networks), "", "10.0.0.1/8,FD00::/8", "192.168.0.0/16")
	if want := []string{"10.0.0.1/8", "FD00::/8", "192.168.0.0/16"}; !slices.Equal(networks, want) {
		t.Errorf("networks %q, want %q", networks, want)
	}
	var selectors []*fold.Selector
	setAll(t, selectorFlag(&selectors), ":443", "10.0.0.1->*")
	if len(selectors) != 2 || selectors[0].String() != ":443" {
		t.Errorf("selectors %v", selectors)
	}
}

// A flag of a comparison is given once for both sides, or once for each side.
func TestPerSide(t *testing.T) {
	var times perSide[replay.Time]
	if !times.of(0).IsZero() || !times.of(1).IsZero() {
		t.Error("not given, and not zero")
	}
	f := perSideFlag(&times, timeFlag)
	setAll(t, f, "-5m")
	if times.of(0).String() != "-5m" || times.of(1).String() != "-5m" {
		t.Errorf("given once: %v", times)
	}
	if f.Set("yesterday") == nil || len(times) != 1 {
		t.Errorf("a bad time: %v", times)
	}
	setAll(t, f, "#812")
	if times.of(0).String() != "-5m" || times.of(1).String() != "#812" {
		t.Errorf("given twice: %v", times)
	}
	if f.Set("end") == nil || len(times) != 2 {
		t.Errorf("given three times: %v", times)
	}
}

// Defaults in help are texts that the flag accepts.
func TestDefaultsCanBeSet(t *testing.T) {
	eachVerb(rootCommand(), func(verb *cobra.Command) {
		verb.Flags().VisitAll(func(f *pflag.Flag) {
			if f.DefValue == "" || slices.Contains(freeTexts, f.Value.Type()) {
				return
			}
			if err := verb.Flags().Set(f.Name, f.DefValue); err != nil {
				t.Errorf("%s: %v", verb.CommandPath(), err)
			}
		})
	})
}
