package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/fixtures/ingest"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/reporter"
)

func buildCommand() *cobra.Command {
	var tape newTape
	cmd := &cobra.Command{
		Use:   "build INPUT... -o TAPE",
		Short: "Make a tape from a script or from the output of other tools",
		Long: `Make a tape from a tape script ("topotape help script"), from the output of other
tools, or from both on one time line. The type of an input is detected from its
content, not from its name. Inputs may be compressed with gzip or zstd; those that
are longer than 64 MiB when decompressed, at most 256 times:

  conntrack -E or -L with any -o option: text, xml or save; /proc/net/nf_conntrack
  pcap and pcapng with DNS packets or netlink messages (of an nlmon device)
  /proc/net/tcp and tcp6; a directory or a tar of them, with the owners of sockets
  if it was made by the script of "topotape help collect"

Texts may be pasted: in UTF-8 or UTF-16, with prompts, commands, fences and other text
before, between and after the lines to read, of which the first one is reported. Each
line may follow other text: a time, the tags of syslog, kubectl and containerd, docker's
JSON, "> ", the numbers of cat -n and grep -n, colours. A line without a time of its own
gets the time in that text. A time without a date is the nearest to the other inputs.

Records get the times in the inputs. An input without times follows the inputs that
are named before it; the files of a directory or tar count as named in the order of
their paths. The times at which files were modified are not used: a copy or a clone
changes them. Ticks, the times of reports, are added every 3 seconds and at the end.
Each line or packet that is lost is reported, and the exit code is 3. The same inputs
give the same bytes.`,
		Example: `  topotape build scenario.jsonl -o scenario.tape
  topotape build events.txt table.txt dns.pcap -o incident.tape
  topotape build evidence.tar -o incident.tape
  topotape cat --format jsonl x.tape | topotape build - -o y.tape`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return build(cmd, args, tape.path, tape.force)
		},
	}
	tape.addFlags(cmd)
	return cmd
}

func build(cmd *cobra.Command, names []string, out string, force bool) error {
	var inputs []ingest.Input
	var lost []string
	stdin := false
	for _, name := range names {
		if name == "-" && stdin {
			return usage("standard input is named twice")
		}
		stdin = stdin || name == "-"
		in, cut, err := openEvidence(name)
		if err != nil {
			return err
		}
		if cut != nil {
			warn(cmd, "%s: %v; the data decompressed before that is used", in.Name, cut)
			lost = append(lost, in.Name)
		}
		inputs = append(inputs, in)
	}
	text, err := onlyScript(cmd, inputs)
	if err != nil {
		return err
	}
	o, err := createOutput(out, onlyForced(force))
	if err != nil {
		return err
	}
	if text != nil {
		err := script.Build(o, text, script.Options{Name: inputs[0].Name, Tool: version, Core: reporter.CoreVersion})
		return cmp.Or(o.finish(err), lossOf(lost))
	}
	list, err := ingest.Build(o, inputs, ingest.Options{Tool: version, Core: reporter.CoreVersion,
		Lost: func(line string) { warn(cmd, "%s", line) }})
	if err := o.finish(err); err != nil {
		return err
	}
	for i := range list {
		warn(cmd, "%s", list[i].String())
		if !list[i].Complete() && !slices.Contains(lost, list[i].Name) {
			lost = append(lost, list[i].Name)
		}
	}
	return lossOf(lost)
}

// lossOf returns the error of a tape that lacks data of these inputs, nil for none.
func lossOf(inputs []string) error {
	if len(inputs) == 0 {
		return nil
	}
	return &exitError{exitLoss, fmt.Errorf("the tape is written but lacks data of %s", strings.Join(inputs, ", "))}
}

// onlyScript returns the script if it is the only input, else nil. Its tape has
// exactly the records of its lines, no added ticks.
func onlyScript(cmd *cobra.Command, inputs []ingest.Input) (io.Reader, error) {
	if len(inputs) != 1 || inputs[0].Dir != nil {
		return nil, nil
	}
	return ingest.Script(&inputs[0], func(line string) { warn(cmd, "%s", line) })
}
