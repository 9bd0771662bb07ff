// Topotape is a flight recorder for network topology: it records what a
// topology agent sees of a host, and replays it to the same reports.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// version is the tool's own. It stands in the headers of tapes, so it must not
// change from one build of the same source to the next.
const version = "0.1.0"

func toolVersion() string { return version }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "topotape",
		Short: "A flight recorder for network topology",
		Long: `topotape records, on a production host, what a topology agent sees: conntrack
events, /proc/net snapshots and DNS packets, onto one tape. It replays that tape
through the same reporter core to the same reports, byte for byte.`,
		Version:       fmt.Sprintf("%s (format %d.%d, core %d)", version, capture.Format, capture.Minor, reporter.CoreVersion),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(recordCommand(), replayCommand(), infoCommand(), catCommand(), buildCommand(), recoverCommand(), cutCommand(), mergeCommand(), diffCommand(), fixtureCommand())
	for _, verb := range root.Commands() {
		failsWith(verb, exitFailed)
		wants(verb)
	}
	root.AddCommand(helpTopics()...)
	root.SetHelpCommand(helpCommand())
	return root
}

// failsWith gives the errors of a verb a code, if they have none. Errors of
// the command line come before the verb runs and stay without one.
func failsWith(cmd *cobra.Command, code int) {
	verb := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := verb(cmd, args)
		var coded *exitError
		if err == nil || errors.As(err, &coded) {
			return err
		}
		return &exitError{code, err}
	}
}

// wants says what a verb's arguments are when they are not those.
func wants(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		wants(sub)
	}
	right := cmd.Args
	if right == nil || cmd.HasSubCommands() {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if right(cmd, args) == nil {
			return nil
		}
		cmd.DisableFlagsInUseLine = true
		return usage("want %s", cmd.UseLine())
	}
}

// printed is standard output for cobra, which takes no notice of errors when it
// prints help.
type printed struct{ err error }

func (p *printed) Write(b []byte) (int, error) {
	if p.err == nil {
		_, p.err = os.Stdout.Write(b)
	}
	return len(b), nil
}

// run is the program: its arguments to its exit code. A reader that closed the
// pipe has what it wanted.
func run(args []string) int {
	signal.Ignore(syscall.SIGPIPE)
	root := rootCommand()
	root.SetArgs(args)
	var out printed
	root.SetOut(&out)
	cmd, err := root.ExecuteC()
	if err == nil && out.err != nil {
		err = &exitError{exitFailed, out.err}
	}
	var coded *exitError
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return exitOK
	case !errors.As(err, &coded):
		fmt.Fprintf(os.Stderr, "%[1]s: %[2]v (see '%[1]s --help')\n", cmd.CommandPath(), err)
		return exitUsage
	}
	if coded.err != nil {
		hint := ""
		if coded.code == exitUsage {
			hint = fmt.Sprintf(" (see '%s --help')", cmd.CommandPath())
		}
		fmt.Fprintf(os.Stderr, "%s: %v%s\n", cmd.CommandPath(), coded.err, hint)
	}
	return coded.code
}

// usage is an error of the command line.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// warn says what does not stop the verb.
func warn(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", cmd.CommandPath(), fmt.Sprintf(format, args...))
}

// Exit codes of every verb.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitLoss       = 3 // this command lost data
	exitDifference = 4
)

// exitError ends the program with a code other than 1. Err is what standard
// error gets to read; nil when it has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }
