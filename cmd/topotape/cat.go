package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/fixtures"
	"github.com/topotape/topotape/replay"
)

var catFormats = []string{"text", "jsonl"}

func catCommand() *cobra.Command {
	var format, out string
	var from, to timeFlag
	var match selectorFlag
	var kinds kindFlag
	cmd := &cobra.Command{
		Use:   "cat TAPE...",
		Short: "Print the records of a tape, one a line",
		Long: `Print the records of a tape, one a line: to read, or as a tape script that
"topotape build" makes the same records of. A line of text is the record's number,
its time since the recording's start, its kind, and what it says: a conntrack message
as "conntrack -E -o id,extended" prints it, a DNS message with its question and its
answers, a table by how many rows are in which state. Times are those of the tape,
in UTC: the same tape gives the same text.

A tape that is still being written to a pipe is printed as it comes.

Git shows what changed in tapes when it is told how to read them:

  echo '*.tape diff=topotape' >>.gitattributes
  git config diff.topotape.textconv 'topotape cat'

Torn tapes make cat end with code 3, which git takes for a failure. To see what they
still hold, let that pass:

  git config diff.topotape.textconv 'f() { topotape cat "$1" || test $? = 3; }; f'`,
		Example: `  topotape cat x.tape
  topotape cat --from -30s --match 10.0.0.2:80 x.tape
  topotape cat --kind conntrack,gap x.tape
  topotape cat --format jsonl x.tape >x.jsonl
  topotape record -o - | topotape cat -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(catFormats, format) {
				return usage("--format %q; this version has %s", format, strings.Join(catFormats, ", "))
			}
			inputs, err := tapeInputs(args, needScan(from.Time, to.Time))
			if err != nil {
				return err
			}
			o, err := createOutput(out, unlessTape)
			if err != nil {
				return err
			}
			lines := newLiveOutput(o)
			c := &catter{out: lines, match: match, kinds: kinds, cmd: cmd}
			if format == "jsonl" {
				c.script = fixtures.NewPrinter(lines)
			}
			if err := lines.finish(c.run(inputs, replay.Window{From: from.Time, To: to.Time})); err != nil {
				return err
			}
			return c.outcome()
		},
	}
	s := cmd.Flags()
	s.StringVar(&format, "format", "text", "text or jsonl")
	s.StringVarP(&out, "output", "o", "-", "where the records go: a file, or - for standard output")
	s.Var(&match, "match", "only records of these connections; may be repeated")
	s.Var(&kinds, "kind", "only records of these kinds: names as cat prints them, with commas between; may be repeated")
	s.Var(&from, "from", "only records from this time on")
	s.Var(&to, "to", "only records before this time")
	return cmd
}

// catter prints records.
type catter struct {
	cmd     *cobra.Command
	out     io.Writer
	script  *fixtures.Printer // nil for text
	text    recordText
	match   selectorFlag
	kinds   kindFlag // nil is all
	matcher recordMatcher
	header  *capture.Header // of the tape whose header was printed
	damage  []error
	tapes   *replay.Tapes
}

func (c *catter) run(inputs []replay.Input, w replay.Window) error {
	tapes, records := replay.Records(inputs, w)
	c.tapes = tapes
	for r, err := range records {
		if err != nil {
			var damage *capture.DamageError
			if !errors.As(err, &damage) {
				return err
			}
			c.damage = append(c.damage, err)
			continue
		}
		if h := tapes.Header(); h != c.header {
			if err := c.begin(h); err != nil {
				return err
			}
		}
		if err := c.record(&r); err != nil {
			return err
		}
	}
	if h := tapes.Header(); c.header == nil && h != nil {
		return c.begin(h)
	}
	return nil
}

func (c *catter) begin(h *capture.Header) error {
	c.header = h
	if c.script != nil {
		return c.script.Header(h)
	}
	c.text.bigEndian, c.text.start = h.BigEndian, h.Start
	_, err := fmt.Fprintf(c.out, "# %s\n", headerText(h))
	return err
}

func (c *catter) record(r *capture.Record) error {
	if c.kinds != nil && !c.kinds[r.Kind] || len(c.match) > 0 && !c.matcher.match(r, c.header.BigEndian, c.match) {
		return nil
	}
	if c.script != nil {
		return c.script.Record(r)
	}
	_, err := c.out.Write(c.text.append(r))
	return err
}

// outcome is 3 where something of the tape is missing.
func (c *catter) outcome() error {
	var loss []string
	for _, d := range c.damage {
		loss = append(loss, d.Error())
	}
	s := replay.Summary{Ends: c.tapes.Ends()}
	if cut := s.Unclean(); cut != "" {
		loss = append(loss, cut)
	}
	if n := s.Unknown(); n > 0 {
		warn(c.cmd, "warning: %d records of unknown kinds were skipped; a newer version wrote them", n)
	}
	if len(loss) > 0 {
		return &exitError{exitLoss, errors.New(strings.Join(loss, "; "))}
	}
	return nil
}
