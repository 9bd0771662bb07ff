package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/replay/scope"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/ctmsg"
)

// pictures are the formats that show one report.
var pictures = map[string]func(io.Writer, ...*reporter.Report) error{"dot": render.Dot, "mermaid": render.Mermaid}

// reportPrinter writes reports in one of the formats.
type reportPrinter struct {
	out    io.Writer
	format string
	list   bool // any number of reports, not one
	ended  *endCounter
	start  int64 // of the tape that is being replayed
	count  int
	buf    []byte
	text   bytes.Buffer
}

func (p *reportPrinter) note(h *capture.Header, _ *capture.Record) { p.start = h.Start }

func (p *reportPrinter) print(r *reporter.Report) error {
	first := p.count == 0
	p.count++
	switch p.format {
	case "ndjson":
		p.buf = append(r.AppendJSON(p.buf[:0]), '\n')
	case "json":
		if err := p.indent(r, first); err != nil {
			return err
		}
	case "scope-json":
		p.buf = append(scope.AppendJSON(p.buf[:0], r), '\n')
	case "scope-msgpack":
		p.buf = scope.AppendMsgpack(p.buf[:0], r)
	case "dot", "mermaid":
		return pictures[p.format](p.out, r)
	default:
		return p.table(r, first)
	}
	_, err := p.out.Write(p.buf)
	return err
}

// indent makes the report one to read, or one element of a list.
func (p *reportPrinter) indent(r *reporter.Report, first bool) error {
	p.text.Reset()
	prefix := ""
	if p.list {
		prefix = "  "
		p.text.WriteString(map[bool]string{true: "[\n  ", false: ",\n  "}[first])
	}
	p.buf = r.AppendJSON(p.buf[:0])
	if err := json.Indent(&p.text, p.buf, prefix, "  "); err != nil {
		return err
	}
	if !p.list {
		p.text.WriteByte('\n')
	}
	p.buf = append(p.buf[:0], p.text.Bytes()...)
	return nil
}

func (p *reportPrinter) table(r *reporter.Report, first bool) error {
	if !first {
		if _, err := io.WriteString(p.out, "\n"); err != nil {
			return err
		}
	}
	if p.ended == nil {
		return render.Table(p.out, r, p.start)
	}
	if err := render.Table(p.out, r, p.ended.start); err != nil {
		return err
	}
	return p.ended.note(p.out)
}

// finish closes a list.
func (p *reportPrinter) finish() error {
	if p.format != "json" || !p.list {
		return nil
	}
	end := "\n]\n"
	if p.count == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(p.out, end)
	return err
}

// endCounter counts TCP flows that ended, which one report cannot show.
type endCounter struct {
	start   int64
	ended   uint64 // flows
	shown   uint64 // of them in the report
	message ctmsg.Message
}

func (c *endCounter) count(h *capture.Header, r *capture.Record) {
	c.start = h.Start
	if r.Kind != capture.KindConntrack || !isDestroy(r.Payload, h.BigEndian) || c.message.Decode(r.Payload, h.BigEndian) != nil {
		return
	}
	if c.message.Orig.Proto == 6 && c.message.Status&ctmsg.SeenReply != 0 {
		c.ended++
	}
}

// isDestroy looks at the message type, the second half of nlmsg_type, so that
// only those are decoded that count.
func isDestroy(b []byte, bigEndian bool) bool {
	const deleted = 2 // IPCTNL_MSG_CT_DELETE
	if len(b) < 6 {
		return false
	}
	if bigEndian {
		return b[5] == deleted
	}
	return b[4] == deleted
}

// seen counts those that the report shows, before it is filtered.
func (c *endCounter) seen(r *reporter.Report) {
	c.shown = 0
	for i := range r.Connections {
		if r.Connections[i].Closed {
			c.shown++
		}
	}
}

// note says how many flows the report does not show because they ended.
func (c *endCounter) note(w io.Writer) error {
	if c.ended <= c.shown {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nTCP flows that ended before this report and are not in it: %d; --whole shows every connection of the tape\n", c.ended-c.shown)
	return err
}
