package live

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// statusWidth is what fits on any terminal: a longer line could not be written
// over.
const statusWidth = 79

// console is where a person reads what happens: lines that stay, and on a
// terminal one line that is written over.
type console struct {
	log, status io.Writer
	shown       bool
}

// say writes a line that stays.
func (c *console) say(format string, args ...any) {
	c.clear()
	fmt.Fprintf(c.log, format+"\n", args...)
}

// show replaces the status line.
func (c *console) show(line string) {
	if c.status == nil {
		return
	}
	if len(line) > statusWidth {
		line = line[:statusWidth]
	}
	fmt.Fprintf(c.status, "\r%s\x1b[K", line)
	c.shown = true
}

func (c *console) clear() {
	if c.shown {
		fmt.Fprint(c.status, "\r\x1b[K")
		c.shown = false
	}
}

// statusLine is what a person wants to know every second.
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
