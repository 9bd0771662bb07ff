package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/replay/render"
	"github.com/topotape/topotape/replay/scope"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/report"
)

// pictures are the formats that draw one report.
var pictures = map[string]func(io.Writer, ...*report.Report) error{"dot": render.Dot, "mermaid": render.Mermaid}

// reportPrinter writes reports in one of the formats.
type reportPrinter struct {
	out    io.Writer
	format string
	match  []*fold.Selector
	list   bool        // writes any number of reports, not one
	ended  *endCounter // counts the flows that a table does not show; may be nil
	start  int64       // of the tape that is being replayed, Unix ns
	count  int         // reports written
	buf    []byte
	text   bytes.Buffer
}

// record takes from a record what a table shows besides the report.
func (p *reportPrinter) record(h *capture.Header, r *capture.Record) {
	p.start = h.Start
	if p.ended != nil {
		p.ended.count(h, r)
	}
}

// print writes the connections of a report that the selectors match.
func (p *reportPrinter) print(r *report.Report) error {
	if p.ended != nil {
		p.ended.report(r)
	}
	r = fold.Filter(r, p.match)
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

// indent formats the report as indented JSON, or as an element of the list.
func (p *reportPrinter) indent(r *report.Report, first bool) error {
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

func (p *reportPrinter) table(r *report.Report, first bool) error {
	if !first {
		if _, err := io.WriteString(p.out, "\n"); err != nil {
			return err
		}
	}
	if err := render.Table(p.out, r, p.start); err != nil || p.ended == nil {
		return err
	}
	return p.ended.write(p.out)
}

// finish ends the list.
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

// endCounter counts the TCP flows that ended. The last report shows few of them.
type endCounter struct {
	ended   uint64 // flows that ended
	shown   uint64 // closed connections in the report
	message ctmsg.Message
}

// count counts the record if it is a DESTROY of a TCP flow that had replies.
func (c *endCounter) count(h *capture.Header, r *capture.Record) {
	if r.Kind != capture.KindConntrack || !isDestroy(r.Payload, h.BigEndian) || c.message.Decode(r.Payload, h.BigEndian) != nil {
		return
	}
	if c.message.Orig.Proto == 6 && c.message.Status&ctmsg.SeenReply != 0 {
		c.ended++
	}
}

// isDestroy checks the message type, in one byte of nlmsg_type, so that only those
// messages are decoded.
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

// report counts the closed connections of a report before it is filtered.
func (c *endCounter) report(r *report.Report) {
	c.shown = 0
	for i := range r.Connections {
		if r.Connections[i].Closed {
			c.shown++
		}
	}
}

// write writes how many flows the report does not show because they ended.
func (c *endCounter) write(w io.Writer) error {
	if c.ended <= c.shown {
		return nil
	}
	_, err := io.WriteString(w, "\n")
	return cmp.Or(err, quote.Line(w, "TCP flows that ended before this report and are not in it: %d; --whole shows every connection of the tape", c.ended-c.shown))
}
