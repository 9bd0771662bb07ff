package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/pcapng"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/replay/survey"
)

func catCommand() *cobra.Command {
	var format, out string
	var window replay.Window
	var match []*fold.Selector
	var kinds []capture.Kind
	cmd := &cobra.Command{
		Use:   "cat TAPE...",
		Short: "Print the records of a tape, one a line",
		Long: `Print the records of a tape, one a line: to read, or as a tape script that
"topotape build" makes the same records of. A line of text is the record's number,
its time since the recording's start, its kind, and what it says: a conntrack message
as "conntrack -E -o id,extended" prints it, a DNS message with its question and its
answers, a table by how many rows are in which state. Times are those of the tape,
in UTC: the same tape gives the same text. Several tapes, or those of a directory, are
printed one behind the other.

With --format pcapng it writes what Wireshark reads: DNS packets as they were captured,
conntrack messages as netlink packets, gaps as dropped packets of an interface, marks as
comments of the packet behind them. What is no packet is left out, and counted. "topotape
build" makes a tape of it again, without what was left out.

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
  topotape cat --format pcapng -o x.pcapng x.tape
  topotape record -o - | topotape cat -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format == "pcapng" && toTerminal(out) {
				return usage("packets are not for a terminal: redirect standard output, or name a file with -o")
			}
			inputs, err := tapeInputs(args, needScan(window.From, window.To))
			if err != nil {
				return err
			}
			o, err := createOutput(out, unlessTape)
			if err != nil {
				return err
			}
			lines := newLiveOutput(o)
			c := &catter{out: lines, match: match, kinds: kinds, cmd: cmd}
			if !isTerminal(o.target()) { // lines are progress enough
				c.progress = newProgress(inputs)
			}
			switch format {
			case "jsonl":
				c.script = script.NewPrinter(lines)
			case "pcapng":
				c.packets = &pcapng.Printer{Out: lines, Tool: toolVersion()}
			}
			err = c.run(inputs, window)
			c.progress.done()
			if err = lines.finish(err); err != nil {
				return err
			}
			return c.outcome()
		},
	}
	s := cmd.Flags()
	addFormat(s, &format, "text", "jsonl", "pcapng")
	s.VarP(fileFlag(&out).or("-"), "output", "o", "where the records go: a file, or - for standard output")
	s.Var(selectorFlag(&match), "match", "only records of these connections; may be repeated")
	s.Var(kindFlag(&kinds), "kind", "only records of these kinds: names as cat prints them, with commas between; may be repeated")
	s.Var(timeFlag(&window.From), "from", "only records from this time on")
	s.Var(timeFlag(&window.To), "to", "only records before this time")
	return cmd
}

// catter prints records.
type catter struct {
	cmd      *cobra.Command
	out      io.Writer
	script   *script.Printer // of jsonl
	packets  *pcapng.Printer // of pcapng
	text     render.RecordText
	match    []*fold.Selector
	kinds    []capture.Kind // nil is all
	matcher  fold.RecordMatcher
	header   *capture.Header // of the tape whose header was printed
	progress *progress
	damage   []error
	final    error // that nothing can be read behind
	tapes    *replay.Tapes
}

func (c *catter) run(inputs []replay.Input, w replay.Window) error {
	tapes, records := replay.Records(inputs, w)
	c.tapes = tapes
	for r, err := range records {
		if err != nil {
			var damage *capture.DamageError
			if !errors.As(err, &damage) {
				if c.header == nil {
					return err
				}
				c.final = err // what came before it counts
				break
			}
			c.damage = append(c.damage, err)
			continue
		}
		c.progress.record(&r)
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
		if err := c.begin(h); err != nil {
			return err
		}
	}
	if c.packets != nil {
		return c.packets.End()
	}
	return nil
}

func (c *catter) begin(h *capture.Header) error {
	c.header = h
	switch {
	case c.script != nil:
		return c.script.Header(h)
	case c.packets != nil:
		return c.packets.Begin(h)
	}
	c.text.BigEndian, c.text.Start = h.BigEndian, h.Start
	_, err := fmt.Fprintf(c.out, "# %s\n", survey.HeaderText(h))
	return err
}

func (c *catter) record(r *capture.Record) error {
	if c.packets != nil {
		c.packets.See(r)
	}
	if c.kinds != nil && !slices.Contains(c.kinds, r.Kind) || len(c.match) > 0 && !c.matcher.Match(r, c.header.BigEndian, c.match) {
		return nil
	}
	switch {
	case c.script != nil:
		return c.script.Record(r)
	case c.packets != nil:
		return c.packets.Record(r)
	}
	_, err := c.out.Write(c.text.Append(r))
	return err
}

// outcome is 3 where something of the tape is missing.
func (c *catter) outcome() error {
	var loss []string
	for _, d := range c.damage {
		loss = append(loss, d.Error())
	}
	if c.final != nil {
		for _, l := range loss {
			warn(c.cmd, "%s", l)
		}
		return c.final
	}
	s := replay.Summary{Ends: c.tapes.Ends()}
	if cut := s.Unclean(); cut != "" {
		loss = append(loss, cut)
	}
	if n := s.Unknown(); n > 0 {
		warn(c.cmd, "warning: %s of unknown kind skipped; a newer version wrote the tape", render.Plural(n, "record"))
	}
	if c.packets != nil {
		if left := c.packets.Left(); left != "" {
			warn(c.cmd, "left out, for they are no packets: %s", left)
		}
	}
	if len(c.damage) > 0 {
		loss = append(loss, "topotape recover saves what is left")
	}
	if len(loss) > 0 {
		return &exitError{exitLoss, errors.New(strings.Join(loss, "; "))}
	}
	return nil
}
