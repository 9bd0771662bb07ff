package main

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRecordRejectsDirectories(t *testing.T) {
	for _, name := range []string{"", "x.tape", "no/such/directory/x.tape"} {
		if err := checkOutput(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"somewhere/", t.TempDir()} {
		if err := checkOutput(name); err == nil || !strings.Contains(err.Error(), "cannot record a ring of segments") {
			t.Errorf("%q: %v", name, err)
		}
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
