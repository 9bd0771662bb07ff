package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/fixtures"
	"github.com/topotape/topotape/reporter"
)

func buildCommand() *cobra.Command {
	var out string
	var force bool
	cmd := &cobra.Command{
		Use:   "build SCRIPT -o TAPE",
		Short: "Make a tape of a script",
		Long: `Make a tape of a tape script: JSON Lines, as "topotape cat --format jsonl" prints
them (see "topotape help script"). The same script gives the same bytes.`,
		Example: `  topotape build scenario.jsonl -o scenario.tape
  topotape cat --format jsonl x.tape | topotape build - -o y.tape`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("this version builds a tape of one script; %d inputs are given", len(args))
			}
			if (out == "-" || out == "/dev/stdout") && isTerminal(os.Stdout) {
				return usage("a tape is not for a terminal: redirect standard output, or name a file with -o")
			}
			return build(args[0], out, force)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the tape: a file, or - for standard output (required)")
	cmd.Flags().BoolVar(&force, "force", false, "replace an existing tape")
	if err := cmd.MarkFlagRequired("output"); err != nil {
		panic(err)
	}
	return cmd
}

func build(name, out string, force bool) error {
	in := io.Reader(os.Stdin)
	if name == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	script := bufio.NewReaderSize(in, 64<<10)
	if err := checkScript(name, script); err != nil {
		return err
	}
	o, err := createOutput(out, onlyForced(force))
	if err != nil {
		return err
	}
	return o.finish(fixtures.Build(o, script, fixtures.Options{Name: name, Tool: toolVersion(), Core: reporter.CoreVersion}))
}

// checkScript refuses what is not a script by what it begins with.
func checkScript(name string, r *bufio.Reader) error {
	head, err := r.Peek(512)
	if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("read %s: %w", name, err)
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	what := ""
	switch {
	case len(text) == 0, text[0] == '{':
		return nil
	case bytes.Contains(head[:min(len(head), 16)], []byte("topotape")):
		what = "is a tape already"
	case bytes.HasPrefix(head, []byte{0xd4, 0xc3, 0xb2, 0xa1}), bytes.HasPrefix(head, []byte{0xa1, 0xb2, 0xc3, 0xd4}),
		bytes.HasPrefix(head, []byte{0x4d, 0x3c, 0xb2, 0xa1}), bytes.HasPrefix(head, []byte{0x0a, 0x0d, 0x0d, 0x0a}):
		what = "is a packet capture"
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}), bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		what = "is compressed"
	default:
		what = "is not a tape script"
	}
	return fmt.Errorf(`%s %s; this version builds tapes of scripts only, which begin with a line like {"tape":{"host_id":"host1"}}`, name, what)
}
