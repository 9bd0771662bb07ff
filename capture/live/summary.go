package live

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/quote"
)

// A Summary describes a recording that has ended.
type Summary struct {
	File       string // name of the tape
	Closed     bool   // the tape is closed; else it was cut
	Why        string // why the recording ended
	Bytes      int64
	Records    uint64
	Duration   time.Duration
	Sources    []SourceSummary
	OtherNetns int           // network namespaces whose sockets were recorded, and not their conntrack
	Stalls     int           // how often the recorder stood still
	Stalled    time.Duration // and for how long in all
	Fault      string        // message of the core's panic, "" if there was none
	CPU        time.Duration // user and system, of this process
	Memory     int64         // peak resident memory of this process, bytes
}

// A SourceSummary describes how one source was recorded. It counts messages,
// tables, packets or names.
type SourceSummary struct {
	Kind        string
	Received    uint64
	Recorded    uint64
	Lost        uint64
	Gaps        uint64
	Undecodable uint64
	Why         string // why it was not recorded, only in part, or is degraded at the end
}

// Gaps returns how many gap records are on the tape.
func (s *Summary) Gaps() (n uint64) {
	for _, src := range s.Sources {
		n += src.Gaps
	}
	return n
}

// WriteTo writes the summary as text.
func (s *Summary) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	state := ""
	if !s.Closed {
		state = ", cut"
	}
	quote.Line(&b, "%s: %d records, %s%s, in %s (%s)", s.File, s.Records, size(s.Bytes), state, s.Duration.Round(time.Millisecond), s.Why)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "source\treceived\trecorded\tlost\tundecodable\t\n")
	for _, src := range s.Sources {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t\n", quote.Text(src.Kind), src.Received, src.Recorded, src.Lost, src.Undecodable)
	}
	t.Flush()
	for _, src := range s.Sources {
		if src.Why != "" {
			quote.Line(&b, "%s: %s", src.Kind, src.Why)
		}
	}
	if s.OtherNetns > 0 {
		quote.Line(&b, "%s", collect.OtherNamespaces(s.OtherNetns))
	}
	if s.Stalls > 0 {
		quote.Line(&b, "the recorder stood still for %s (%d times): it was stopped, frozen or starved, or the tape's reader did not read; the gaps have what was lost",
			s.Stalled.Round(time.Millisecond), s.Stalls)
	}
	if s.Fault != "" {
		quote.Line(&b, "the core panicked (%s): the rest of the tape has no witnesses", s.Fault)
	}
	quote.Line(&b, "cpu %s (%.1f %% of a core), memory %s", s.CPU.Round(time.Millisecond), share(s.CPU, s.Duration), size(s.Memory))
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// share returns the CPU time in percent of the wall time.
func share(cpu, wall time.Duration) float64 {
	if wall <= 0 {
		return 0
	}
	return 100 * cpu.Seconds() / wall.Seconds()
}

// size formats a number of bytes.
func size(n int64) string {
	f, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
