package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/topotape/topotape/capture/live"
)

func durationFlag(to *time.Duration) *flagValue { return one("duration", to, parseDuration) }

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, errors.New("want a duration above 0, like 30s or 5m")
	}
	return d, nil
}

// lengthFlag is the duration of a recording.
func lengthFlag(to *time.Duration) *flagValue { return one("duration", to, parseLength) }

// parseLength reads a duration. 0 means for ever and has an error of its own.
func parseLength(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil && d == 0 {
		return 0, errors.New("recording for ever needs a ring of segments, which is not available in this version; want a duration above 0")
	}
	return parseDuration(s)
}

// bufferFlag is the size of a socket's buffer.
func bufferFlag(to *int) *flagValue { return one("size", to, parseBuffer) }

func parseBuffer(s string) (int, error) {
	n, err := parseSize(s)
	if err == nil && n > 1<<30 {
		err = errors.New("the kernel takes 1GiB at most")
	}
	return int(n), err
}

func limitFlag(to *int64) *flagValue { return one("size", to, parseLimit) }

// parseLimit reads a size. No limit is 0 on the command line and -1 in
// live.Options.
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

// parseSize reads bytes with a unit: 64MiB, 1.5GiB, 1500000.
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

// sourcesFlag is a sorted list of sources. The first time the flag is given it
// replaces the default, then it adds.
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
	if !slices.Contains(live.Sources(), s) {
		return "", fmt.Errorf("no source %q; there are %s", s, strings.Join(live.Sources(), ", "))
	}
	return s, nil
}

// networkFlag is a list of networks. An empty text adds none.
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
