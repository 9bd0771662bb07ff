// Topotape is a flight recorder for network topology. It records on a host what a
// topology agent sees there, and replays the recording to the same reports.
//
// Each verb has a file of its name with its flags and its output; the work is done
// in the packages capture, reporter, replay and fixtures. main.go puts the verbs
// together, flags.go has the types of flags, input.go finds the tapes that the
// arguments name, evidence.go opens the inputs of build, output.go writes results,
// progress.go shows how far a verb is.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter"
)

// version is the version of the tool. It is written to the headers of tapes, so it
// must be the same in all builds of one source.
const version = "0.1.0"

// Exit codes of every verb.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitLoss       = 3 // this command lost data
	exitDifference = 4
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "topotape",
		Short: "A flight recorder for network topology",
		Long: `topotape records what a topology agent sees on a production host: conntrack
events, /proc/net snapshots and DNS packets. All of it goes onto one tape. Replaying
the tape through the same reporter core gives the same reports, byte for byte.`,
		Version:       fmt.Sprintf("%s (format %d.%d, core %d)", version, tape.Format, tape.Minor, reporter.CoreVersion),
		SilenceErrors: true,
		SilenceUsage:  true,
		// similar suggests verbs: cobra's suggestions are several lines of an error
		DisableSuggestions:         true,
		SuggestionsMinimumDistance: 2,
	}
	root.AddCommand(recordCommand(), replayCommand(), infoCommand(), catCommand(), buildCommand(), recoverCommand(), cutCommand(), mergeCommand(), diffCommand(), fixtureCommand())
	for _, verb := range root.Commands() {
		setExitCode(verb)
		explainArgs(verb)
	}
	root.AddCommand(helpTopics()...)
	root.SetHelpCommand(helpCommand())
	return root
}

// setExitCode makes errors of the verb end the program with exitFailed unless they
// have a code. Errors of the command line come before the verb runs and stay
// without one.
func setExitCode(verb *cobra.Command) {
	runE := verb.RunE
	verb.RunE = func(cmd *cobra.Command, args []string) error {
		err := runE(cmd, args)
		var coded *exitError
		if err == nil || errors.As(err, &coded) {
			return err
		}
		return &exitError{exitFailed, err}
	}
}

// explainArgs makes the error of wrong arguments show the right ones.
func explainArgs(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		explainArgs(sub)
	}
	check := cmd.Args
	if check == nil || cmd.HasSubCommands() {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if check(cmd, args) == nil {
			return nil
		}
		cmd.DisableFlagsInUseLine = true
		return usage("want %s", cmd.UseLine())
	}
}

// helpOutput is standard output for cobra. It keeps the first error, which cobra
// ignores when it prints help.
type helpOutput struct{ err error }

// Write never fails.
func (h *helpOutput) Write(b []byte) (int, error) {
	if h.err == nil {
		_, h.err = os.Stdout.Write(b)
	}
	return len(b), nil
}

// run runs the program and returns its exit code. A reader that closes the pipe
// early is no failure.
func run(args []string) int {
	signal.Ignore(syscall.SIGPIPE)
	root := rootCommand()
	root.SetArgs(args)
	var out helpOutput
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
		coded = &exitError{exitUsage, err}
	}
	hint := ""
	if coded.code == exitUsage {
		hint = fmt.Sprintf("%s (see '%s --help')", similar(cmd, args), cmd.CommandPath())
	}
	quote.Line(os.Stderr, "%s: %v%s", cmd.CommandPath(), coded.err, hint)
	return coded.code
}

// similar suggests verbs if no verb was found: cmd is the root.
func similar(cmd *cobra.Command, args []string) string {
	if cmd.HasParent() || len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return ""
	}
	names := cmd.SuggestionsFor(args[0])
	if len(names) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(names, " or ") + "?"
}

// exitError ends the program with a code and a message on standard error.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }

func (e *exitError) Unwrap() error { return e.err }

// usage returns an error of the command line.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// warn writes a message to standard error; the verb goes on.
func warn(cmd *cobra.Command, format string, args ...any) {
	quote.Line(cmd.ErrOrStderr(), "%s: %s", cmd.CommandPath(), fmt.Sprintf(format, args...))
}
