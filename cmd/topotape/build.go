package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"
	"github.com/topotape/topotape/fixtures"
	"github.com/topotape/topotape/fixtures/evidence"
	"github.com/topotape/topotape/reporter"
)

func buildCommand() *cobra.Command {
	var out string
	var force bool
	cmd := &cobra.Command{
		Use:   "build INPUT... -o TAPE",
		Short: "Make a tape of a script or of what other tools saw",
		Long: `Make a tape of a tape script ("topotape help script"), or of what other tools
wrote down, alone or together on one time line. What an input is, its content
tells, not its name; it may be packed with gzip or zstd:

  conntrack -E or -L, as text or XML, with whatever -o; /proc/net/nf_conntrack
  pcap and pcapng, of DNS packets or of netlink messages (an nlmon device)
  /proc/net/tcp and tcp6; a directory or tar of them, with their owners if
  what "topotape help collect" prints made it

Times are the evidence's own. What has none stands behind the inputs that are
named before it. A tick, where a report is made, stands every 3 seconds and at
the end. What is lost is told line by line; then the exit code is 3. The same
inputs give the same bytes.`,
		Example: `  topotape build scenario.jsonl -o scenario.tape
  topotape build events.txt table.txt dns.pcap -o incident.tape
  topotape build evidence.tar -o incident.tape
  topotape cat --format jsonl x.tape | topotape build - -o y.tape`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (out == "-" || out == "/dev/stdout") && isTerminal(os.Stdout) {
				return usage("a tape is not for a terminal: redirect standard output, or name a file with -o")
			}
			return build(cmd, args, out, force)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the tape: a file, or - for standard output (required)")
	cmd.Flags().BoolVar(&force, "force", false, "replace an existing tape")
	if err := cmd.MarkFlagRequired("output"); err != nil {
		panic(err)
	}
	return cmd
}

func build(cmd *cobra.Command, names []string, out string, force bool) error {
	var inputs []evidence.Input
	stdin := false
	for _, name := range names {
		if name == "-" && stdin {
			return usage("standard input is named twice")
		}
		stdin = stdin || name == "-"
		in, err := openEvidence(name)
		if err != nil {
			return err
		}
		inputs = append(inputs, in)
	}
	script, err := onlyScript(inputs)
	if err != nil {
		return err
	}
	o, err := createOutput(out, onlyForced(force))
	if err != nil {
		return err
	}
	if script != nil {
		return o.finish(fixtures.Build(o, script, fixtures.Options{Name: inputs[0].Name, Tool: toolVersion(), Core: reporter.CoreVersion}))
	}
	list, err := evidence.Build(o, inputs, evidence.Options{Tool: toolVersion(), Core: reporter.CoreVersion,
		Say: func(line string) { warn(cmd, "%s", line) }})
	if err := o.finish(err); err != nil {
		return err
	}
	return sayBuilt(cmd, list)
}

// sayBuilt tells what became of each input.
func sayBuilt(cmd *cobra.Command, list []evidence.Summary) error {
	var lost []string
	for i := range list {
		warn(cmd, "%s", list[i].String())
		if !list[i].Complete() {
			lost = append(lost, list[i].Name)
		}
	}
	if len(lost) > 0 {
		return &exitError{exitLoss, fmt.Errorf("the tape is written, but lacks what was lost of %s", strings.Join(lost, ", "))}
	}
	return nil
}

// onlyScript is the script, if that is all there is: its tape is as its lines
// say.
func onlyScript(inputs []evidence.Input) (io.Reader, error) {
	if len(inputs) != 1 || inputs[0].Dir != nil {
		return nil, nil
	}
	is, err := evidence.IsScript(&inputs[0])
	if !is || err != nil {
		return nil, err
	}
	return io.NewSectionReader(inputs[0].Data, 0, inputs[0].Size), nil
}

// openEvidence opens an input. What can't be read twice, as a pipe or what is
// packed, is kept in a file meanwhile.
func openEvidence(name string) (in evidence.Input, err error) {
	in.Name = name
	file := os.Stdin
	if name == "-" {
		in.Name = "standard input"
	} else if file, err = os.Open(name); err != nil {
		return in, err
	}
	st, err := file.Stat()
	switch {
	case err != nil:
		return in, err
	case st.IsDir():
		in.Dir = os.DirFS(name)
		return in, file.Close()
	}
	stream := bufio.NewReaderSize(file, 64<<10)
	plain, err := unpacked(stream)
	if err != nil {
		return in, fmt.Errorf("%s: %w", in.Name, err)
	}
	// A file of /proc is longer than it says.
	if plain == nil && st.Mode().IsRegular() && st.Size() > 0 && name != "-" {
		in.Data, in.Size = file, st.Size()
		return in, nil
	}
	if plain == nil {
		plain = stream
	}
	in.Data, in.Size, err = spoolFile(plain)
	if err != nil {
		return in, fmt.Errorf("%s: %w", in.Name, err)
	}
	return in, nil
}

// unpacked reads what was packed; nil where it was not.
func unpacked(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case strings.HasPrefix(string(head), "\x1f\x8b"):
		return gzip.NewReader(r)
	case strings.HasPrefix(string(head), "\x28\xb5\x2f\xfd"):
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
	}
	return nil, nil
}

// maxUnpacked bounds what is kept of a stream.
const maxUnpacked = 64 << 30

// spoolFile copies a stream into a file that has no name and goes with the
// program.
func spoolFile(r io.Reader) (*os.File, int64, error) {
	f, err := os.CreateTemp("", "topotape-*")
	if err != nil {
		return nil, 0, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	size, err := io.Copy(f, io.LimitReader(r, maxUnpacked+1))
	if err == nil && size > maxUnpacked {
		err = fmt.Errorf("more than %d GiB unpacked; unpack and cut it first", maxUnpacked>>30)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}
