package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/live"
	"github.com/topotape/topotape/fixtures"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter"
)

// flagValue is a pflag.Value. Its function set parses a text and stores the value
// before the verb runs. An error of set explains what the flag accepts; pflag adds the
// name of the flag and the text.
type flagValue struct {
	kind string // the name of the type in help
	text string // the default, then the last text that was set
	set  func(string) error
}

var _ pflag.Value = (*flagValue)(nil)

// Set parses a text and stores the value.
func (f *flagValue) Set(s string) error {
	if err := f.set(s); err != nil {
		return err
	}
	f.text = s
	return nil
}

// Type returns the name of the type in help.
func (f *flagValue) Type() string { return f.kind }

// String returns the text of the value.
func (f *flagValue) String() string { return f.text }

// or sets the default, which help shows as written here.
func (f *flagValue) or(text string) *flagValue {
	if err := f.Set(text); err != nil {
		panic(err)
	}
	return f
}

// one returns a flag of one value. Given again, it replaces the value.
func one[T any](kind string, to *T, parse func(string) (T, error)) *flagValue {
	return &flagValue{kind: kind, set: func(s string) error {
		v, err := parse(s)
		if err == nil {
			*to = v
		}
		return err
	}}
}

// list returns a flag of any number of values. Given again, it adds one.
func list[T any](kind string, to *[]T, parse func(string) (T, error)) *flagValue {
	return &flagValue{kind: kind, set: func(s string) error {
		v, err := parse(s)
		if err == nil {
			*to = append(*to, v)
		}
		return err
	}}
}

// commaList returns a list whose text may be several values separated by commas.
func commaList[T any](kind string, to *[]T, parse func(string) (T, error)) *flagValue {
	each := list(kind, to, parse)
	return &flagValue{kind: kind, set: func(s string) error {
		for part := range strings.SplitSeq(s, ",") {
			if err := each.set(part); err != nil {
				return err
			}
		}
		return nil
	}}
}

// perSide are the values of a flag of a comparison: one for both sides, or one for A
// and one for B.
type perSide[T any] []T

// perSideFlag returns a flag of up to two values. single makes a flag of one.
func perSideFlag[T any](to *perSide[T], single func(*T) *flagValue) *flagValue {
	var v T
	f := single(&v)
	return list(f.kind, (*[]T)(to), func(s string) (T, error) {
		if len(*to) == 2 {
			return v, errors.New("want at most two, one for each side")
		}
		return v, f.set(s)
	})
}

// of returns the value for side 0 or 1.
func (t perSide[T]) of(side int) (v T) {
	if len(t) == 0 {
		return v
	}
	return t[min(side, len(t)-1)]
}

func timeFlag(to *replay.Time) *flagValue { return one("time", to, parseTime) }

// parseTime checks the grammar. A time like -5m or mark:TEXT is resolved once the
// tapes are open.
func parseTime(s string) (replay.Time, error) {
	if s == "" {
		return replay.Time{}, errors.New("want a time, like +1m30s or mark:TEXT; see topotape help times")
	}
	return replay.ParseTime(s)
}

func selectorFlag(to *[]*fold.Selector) *flagValue {
	return list("selector", to, fold.ParseSelector)
}

func expectationFlag(to *[]*fixtures.Expectation) *flagValue {
	return list("expectation", to, fixtures.ParseExpectation)
}

func kindFlag(to *[]capture.Kind) *flagValue { return commaList("kind", to, parseKind) }

func parseKind(s string) (capture.Kind, error) {
	var names []string
	for k := capture.Kind(1); k.Known(); k++ {
		if k.String() == strings.TrimSpace(s) {
			return k, nil
		}
		names = append(names, k.String())
	}
	return 0, fmt.Errorf("no kind %q; want one of %s", s, strings.Join(names, ", "))
}

func rulesFlag(to *string) *flagValue { return one("rules", to, parseRules) }

// parseRules checks the name of a rule set. "" is the current rules.
func parseRules(s string) (string, error) {
	_, err := reporter.New(&capture.Header{}, s)
	return s, err
}

// addFormat adds the flag --format with these names. The first is the default.
func addFormat(s *pflag.FlagSet, to *string, names ...string) {
	last := len(names) - 1
	known := strings.Join(names[:last], ", ") + " or " + names[last]
	f := one("format", to, func(s string) (string, error) {
		if !slices.Contains(names, s) {
			return "", errors.New("want " + known)
		}
		return s, nil
	})
	s.Var(f.or(names[0]), "format", known)
}

func countFlag(to *int) *flagValue { return one("number", to, parseCount) }

// parseCount parses a number as Go source has it: 1000000, 1_000_000, 0x10.
func parseCount(s string) (int, error) {
	n, err := strconv.ParseInt(s, 0, 0)
	if err != nil || n < 1 {
		return 0, errors.New("want a number of at least 1")
	}
	return int(n), nil
}

func rateFlag(to *float64) *flagValue { return one("rate", to, parseRate) }

// parseRate parses how many times faster than the recording a replay is: 10x.
func parseRate(s string) (float64, error) {
	number, found := strings.CutSuffix(s, "x")
	v, err := strconv.ParseFloat(number, 64)
	if !found || err != nil || !(v > 0) || math.IsInf(v, 1) {
		return 0, errors.New("want a number above 0 and an x, like 10x or 0.5x")
	}
	return v, nil
}

func fileFlag(to *string) *flagValue {
	return one("file", to, func(s string) (string, error) { return s, nil })
}

// newTape is the output of a verb that makes a tape.
type newTape struct {
	path  string
	force bool
}

// addFlags adds --output, which is required, and --force.
func (t *newTape) addFlags(cmd *cobra.Command) {
	output := one("file", &t.path, func(s string) (string, error) { return s, checkTapeOutput(s) })
	cmd.Flags().VarP(output, "output", "o", "the new tape: a file, or - for standard output (required)")
	cmd.Flags().BoolVar(&t.force, "force", false, "replace an existing file, or a leftover .partial")
	if err := cmd.MarkFlagRequired("output"); err != nil {
		panic(err)
	}
}

func durationFlag(to *time.Duration) *flagValue { return one("duration", to, parseDuration) }

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, errors.New("want a duration above 0, like 30s or 5m")
	}
	return d, nil
}

// lengthFlag returns a flag for the duration of a recording.
func lengthFlag(to *time.Duration) *flagValue { return one("duration", to, parseLength) }

// parseLength parses a duration. 0, for no end, has an error of its own.
func parseLength(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil && d == 0 {
		return 0, errors.New("recording without end needs a ring of segments, which this version does not have; want a duration above 0")
	}
	return parseDuration(s)
}

// bufferFlag returns a flag for the size of a socket buffer.
func bufferFlag(to *int) *flagValue { return one("size", to, parseBuffer) }

func parseBuffer(s string) (int, error) {
	n, err := parseSize(s)
	if err == nil && n > 1<<30 {
		err = errors.New("want at most 1GiB, the kernel's limit")
	}
	return int(n), err
}

func limitFlag(to *int64) *flagValue { return one("size", to, parseLimit) }

// parseLimit parses a size. No limit is 0 on the command line and -1 in live.Options.
func parseLimit(s string) (int64, error) {
	n, err := parseSize(s)
	return cmp.Or(n, -1), err
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3},
	{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"k", 1 << 10}, {"B", 1},
}

// parseSize parses bytes with or without a unit: 64MiB, 1.5GiB, 1500000.
func parseSize(s string) (int64, error) {
	number, scale := strings.TrimSpace(s), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, scale = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0) || n*float64(scale) >= 1<<62 {
		return 0, errors.New("want a size, like 64MiB or 1500000")
	}
	return int64(n * float64(scale)), nil
}

// sourcesFlag returns a flag for a sorted list of sources. Given once, it replaces the
// default; given again, it adds.
func sourcesFlag(to *[]string) *flagValue {
	*to = slices.Sorted(slices.Values(live.DefaultSources()))
	var given []string
	names := commaList("sources", &given, parseSource)
	return &flagValue{kind: names.kind, text: strings.Join(live.DefaultSources(), ","), set: func(s string) error {
		err := names.set(s)
		*to = slices.Compact(slices.Sorted(slices.Values(given)))
		return err
	}}
}

func parseSource(s string) (string, error) {
	if !slices.Contains(capture.UsualSources(), s) {
		return "", fmt.Errorf("no source %q; want one of %s", s, strings.Join(capture.UsualSources(), ", "))
	}
	return s, nil
}

// networkFlag returns a flag for a list of networks. An empty text adds none.
func networkFlag(to *[]string) *flagValue {
	f := commaList("network", to, parseNetwork)
	add := f.set
	f.set = func(s string) error {
		if s == "" {
			return nil
		}
		return add(s)
	}
	return f
}

// parseNetwork checks a network and keeps it as written, for the tape's header.
func parseNetwork(s string) (string, error) {
	if _, err := netip.ParsePrefix(s); err != nil {
		return "", fmt.Errorf("%q is no network; want an address and a prefix length, like 10.1.0.0/16", s)
	}
	return s, nil
}
