package main

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture/live"
)

func TestSizes(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1500": 1500, "64MiB": 64 << 20, "1GiB": 1 << 30, "16 KiB": 16 << 10, "1.5GiB": 3 << 29,
		"10MB": 10_000_000, "8k": 8 << 10, "2G": 2 << 30, "7B": 7,
	} {
		var v sizeValue
		if err := v.Set(in); err != nil || int64(v) != want {
			t.Errorf("%q: %d, %v", in, v, err)
		}
		var again sizeValue
		if err := again.Set(v.String()); err != nil || again != v {
			t.Errorf("%q: printed as %q, read as %d", in, v.String(), again)
		}
	}
	for _, in := range []string{"", "MiB", "-1", "1 PB", "12q", "9999999999GiB", "NaN", "1e"} {
		var v sizeValue
		if err := v.Set(in); err == nil {
			t.Errorf("%q: %d", in, v)
		}
	}
}

func TestRecordRefusesWhatItCannotDo(t *testing.T) {
	good := func() *live.Options {
		return &live.Options{Duration: time.Minute, Interval: time.Second, ProcInterval: time.Second, Sources: live.Sources()}
	}
	if err := checkRecord(good(), false); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*live.Options){
		"ring of segments, which is not available": func(o *live.Options) { o.Duration = 0 },
		"--interval":                   func(o *live.Options) { o.Interval = 0 },
		"--proc-interval":              func(o *live.Options) { o.ProcInterval = -1 },
		"more than 0":                  func(o *live.Options) { o.Duration = -1 },
		`"whois" is unknown`:           func(o *live.Options) { o.Sources = []string{"proc", "whois"} },
		"--sources names none":         func(o *live.Options) { o.Sources = nil },
		"segments is not available in": func(o *live.Options) { o.Output = "somewhere/" },
		"a ring of segments":           func(o *live.Options) { o.Output = t.TempDir() },
		"--local-network":              func(o *live.Options) { o.LocalNetworks = []string{"10.0.0.0"} },
	} {
		o := good()
		spoil(o)
		if err := checkRecord(o, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", want, err)
		}
	}
	o := good()
	o.Sources = []string{"proc", "conntrack", "proc"}
	if err := checkRecord(o, false); err != nil || len(o.Sources) != 2 {
		t.Errorf("sources %v, %v", o.Sources, err)
	}
}

func TestSignalEndsTheContextAndIsItsCause(t *testing.T) {
	for sig, name := range map[syscall.Signal]string{
		syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM", syscall.SIGHUP: "SIGHUP", syscall.SIGPIPE: "SIGPIPE",
	} {
		ctx, stop := stopOnSignal(context.Background())
		syscall.Kill(syscall.Getpid(), sig)
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second):
			t.Fatalf("%s does not end it", name)
		}
		if err := context.Cause(ctx); err.Error() != "stopped by "+name {
			t.Errorf("%s: cause %v", name, err)
		}
		stop()
	}
}

func TestUsageErrorsOfRecord(t *testing.T) {
	for _, args := range [][]string{
		{"--sources", "whois"}, {"--duration", "0"}, {"-o", "x/"}, {"--max-size", "many"}, {"surplus"}, {"--no-such-flag"},
	} {
		cmd := recordCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args)
		err := cmd.Execute()
		var coded *exitError
		if err == nil || errors.As(err, &coded) && coded.code != exitUsage {
			t.Errorf("%v: %v", args, err)
		}
	}
}
