package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/outfile"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/pcapng"
	"github.com/topotape/topotape/replay/render"
)

// catFlags are the flags of cat.
type catFlags struct {
	format, out string
	window      replay.Window
	match       []*fold.Selector
	kinds       []capture.Kind
}

func catCommand() *cobra.Command {
	var f catFlags
	cmd := &cobra.Command{
		Use:   "cat TAPE...",
		Short: "Print the records of a tape, one per line",
		Long: `Print the records of a tape, one per line, as text or as a tape script from which
"topotape build" makes the same records. A line of text has the record's number, its
time since the recording's start, its kind and its content: a conntrack message as
"conntrack -E -o id,extended" prints it, a DNS message with its question and answers,
a socket table as the number of rows in each state. Times are those of the tape, in
UTC, so the same tape always gives the same text. What a terminal would obey, hide or
reorder is written as an escape, like \x1b. Several tapes, or the tapes of a
directory, are printed one after the other. With --from and --to, records outside of
that window are not read if they need not be; a line on standard error then says so.

--format pcapng writes a file for Wireshark: DNS packets as they were captured,
conntrack messages as netlink packets, gaps as dropped packets of an interface, marks
as comments of the next packet. Records that are not packets are left out and counted.
"topotape build" makes a tape from that file again, without those records.

A tape that arrives through a pipe while it is recorded is printed as it comes.

Git can show the changes in tapes once it knows how to read them:

  echo '*.tape diff=topotape' >>.gitattributes
  git config diff.topotape.textconv 'topotape cat'

For a torn tape cat exits with 3, which git treats as a failure. To see the records
before the damage, ignore that code:

  git config diff.topotape.textconv 'f() { topotape cat "$1" || test $? = 3; }; f'`,
		Example: `  topotape cat x.tape
  topotape cat --from -30s --match 10.0.0.2:80 x.tape
  topotape cat --kind conntrack,gap x.tape
  topotape cat --format jsonl x.tape >x.jsonl
  topotape cat --format pcapng -o x.pcapng x.tape
  topotape record -o - | topotape cat -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args)
		},
	}
	s := cmd.Flags()
	addFormat(s, &f.format, "text", "jsonl", "pcapng")
	s.VarP(fileFlag(&f.out).or("-"), "output", "o", "write the records to a file, or to standard output (-)")
	s.Var(selectorFlag(&f.match), "match", "only records of these connections; may be repeated")
	s.Var(kindFlag(&f.kinds), "kind", "only records of these kinds: names as cat prints them, separated by commas; may be repeated")
	s.Var(timeFlag(&f.window.From), "from", "only records at or after this time")
	s.Var(timeFlag(&f.window.To), "to", "only records before this time")
	return cmd
}

func (f *catFlags) run(cmd *cobra.Command, args []string) error {
	if f.format == "pcapng" && toTerminal(f.out) {
		return usage("standard output is a terminal and pcapng is binary: redirect it, or name a file with -o")
	}
	inputs, err := tapeInputs(args, needScan(f.window.From, f.window.To))
	if err != nil {
		return err
	}
	o, err := createOutput(f.out, outfile.Reports)
	if err != nil {
		return err
	}
	out := newLiveOutput(o)
	tapes, records := replay.Records(inputs, f.window)
	c := newCatter(cmd, out, f.format, tapes)
	c.kinds, c.matcher.Selectors = f.kinds, f.match
	if !isTerminal(o.target()) { // on a terminal the lines show the progress
		c.progress = newProgress(inputs)
	}
	err = c.run(records)
	c.progress.done()
	if err = out.finish(err); err != nil {
		return err
	}
	c.warnUnread(f.window)
	return c.outcome()
}

// recordPrinter writes the records of tapes in one of the formats. Header begins a
// tape.
type recordPrinter interface {
	Header(*capture.Header) error
	Record(*capture.Record) error
}

// catter prints records and collects what it could not read.
type catter struct {
	cmd      *cobra.Command
	printer  recordPrinter
	packets  *pcapng.Printer // the printer of pcapng, else nil
	kinds    []capture.Kind  // nil for all
	matcher  fold.RecordMatcher
	progress *progress
	tapes    *replay.Tapes
	header   *capture.Header // of the last tape whose header was printed
	damage   render.List     // places that were skipped
	final    error           // the error that ended the reading
}

func newCatter(cmd *cobra.Command, out io.Writer, format string, tapes *replay.Tapes) *catter {
	c := &catter{cmd: cmd, tapes: tapes, matcher: fold.RecordMatcher{Format: tapes.Format()}}
	switch format {
	case "jsonl":
		p := script.NewPrinter(out)
		p.Layout(tapes.Format())
		c.printer = p
	case "pcapng":
		c.packets = pcapng.NewPrinter(out, version)
		c.printer = c.packets
	default:
		c.printer = render.NewRecordPrinter(out, tapes.Format())
	}
	return c
}

func (c *catter) run(records iter.Seq2[capture.Record, error]) error {
	for r, err := range records {
		if err != nil {
			var damage *tape.DamageError
			if !errors.As(err, &damage) {
				if c.header == nil {
					return err
				}
				c.final = err // the records before it are printed all the same
				break
			}
			c.damage.Add(err.Error())
			continue
		}
		c.progress.record(&r)
		if err := c.begin(c.tapes.Header()); err != nil {
			return err
		}
		if err := c.record(&r); err != nil {
			return err
		}
	}
	if h := c.tapes.Header(); c.header == nil && h != nil { // a tape without records
		if err := c.begin(h); err != nil {
			return err
		}
	}
	if c.packets != nil {
		return c.packets.Close()
	}
	return nil
}

// begin prints the header unless it is that of the current tape.
func (c *catter) begin(h *capture.Header) error {
	if h == c.header {
		return nil
	}
	c.header = h
	return c.printer.Header(h)
}

func (c *catter) record(r *capture.Record) error {
	if c.packets != nil {
		c.packets.Observe(r)
	}
	if c.kinds != nil && !slices.Contains(c.kinds, r.Kind) || !c.matcher.Match(r, c.header.BigEndian) {
		return nil
	}
	return c.printer.Record(r)
}

// warnUnread reports which records were not read because of the window.
func (c *catter) warnUnread(w replay.Window) {
	var parts []string
	before, after := c.tapes.Unread()
	if before {
		parts = append(parts, fmt.Sprintf("before %s", w.From))
	}
	if after {
		parts = append(parts, fmt.Sprintf("from %s on", w.To))
	}
	if len(parts) > 0 {
		warn(c.cmd, "the records %s were not read: damage there is not reported", strings.Join(parts, " and "))
	}
}

// outcome reports what is missing from the tapes. Its error has exit code 3, or 1
// if the reading ended at something other than damage.
func (c *catter) outcome() error {
	loss := c.damage.Texts()
	damaged := len(loss) > 0
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
	warnUnknown(c.cmd, &s)
	if c.packets != nil {
		if left := c.packets.LeftOut(); left != "" {
			warn(c.cmd, "records left out because they are not packets: %s", left)
		}
	}
	if damaged {
		loss = append(loss, recoverHint)
	}
	return lossError(loss)
}

// recoverHint follows the places of damage.
const recoverHint = "topotape recover saves the intact records"

// lossError returns an error with exit code 3 that lists the losses, nil for none.
func lossError(loss []string) error {
	if len(loss) == 0 {
		return nil
	}
	return &exitError{exitLoss, errors.New(strings.Join(loss, "; "))}
}

// warnUnknown warns of records whose kind this version does not know.
func warnUnknown(cmd *cobra.Command, s *replay.Summary) {
	if n := s.Unknown(); n > 0 {
		warn(cmd, "warning: %s of unknown kind skipped; a newer version wrote the tape", render.Count(n, "record"))
	}
}
