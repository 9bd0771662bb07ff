package live

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/topotape/topotape/capture/quote"
)

// statusWidth is the longest status line that fits on any terminal: a line that
// wraps could not be overwritten.
const statusWidth = 79

// console writes log lines and, on a terminal, one status line that is
// overwritten.
type console struct {
	lines, status io.Writer
	shown         bool // a status line
}

// log writes a log line.
func (c *console) log(format string, args ...any) {
	c.clear()
	quote.Line(c.lines, format, args...)
}

// show overwrites the status line.
func (c *console) show(line string) {
	if c.status == nil {
		return
	}
	fmt.Fprintf(c.status, "\r%.*s\x1b[K", statusWidth, quote.Text(line))
	c.shown = true
}

// clear removes the status line.
func (c *console) clear() {
	if c.shown {
		fmt.Fprint(c.status, "\r\x1b[K")
		c.shown = false
	}
}

// statusLine formats the state of the recording: time, records by source, size
// and CPU.
func (r *recorder) statusLine(now time.Time) string {
	var b strings.Builder
	elapsed := now.Sub(r.begun)
	fmt.Fprintf(&b, "%s", elapsed.Truncate(time.Second))
	if r.o.Duration > 0 {
		fmt.Fprintf(&b, "/%s", r.o.Duration)
	}
	for _, s := range r.sources {
		t := &r.seq.totals[s.number]
		fmt.Fprintf(&b, "  %s %d", s.kind, t.Recorded)
		if t.Lost > 0 {
			fmt.Fprintf(&b, " (%d lost)", t.Lost)
		}
	}
	cpu, _ := usage()
	fmt.Fprintf(&b, "  %s  cpu %.1f %%", size(r.tape.Size()), share(cpu-r.cpu, elapsed))
	return b.String()
}
