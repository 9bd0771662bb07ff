package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/replay/replaytest"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// hostile are texts that Graphviz, Mermaid, Markdown, HTML or a terminal interprets.
var hostile = []string{
	`"`, `\`, `\"`, `x\`, `\N\G\E\T\H\L\n\l`, "a\nb", "a\r\nb", "\x00\x1b[31m", "]", "[", "](", `"]`, `"]; end`, "end", "subgraph", "graph", "style", "classDef", "click",
	"style x:y#z;", "classDef a:b#c;", "<b>x</b>", "<script>alert(1)</script>", "<br/>", "&lt;", "&", "&#10;", "&quot;", "#", "#quot;", "#35;", "%%", "%%{init: {}}%%", "`", "\"`**md**`\"",
	"1. x", "- x", "* x", "+ x", "---", "===", "__x__", "*x*", "$$x^2$$", "|", "||", "|x|", "-->", "{", "}", "{{x}}", "(", ")", "((x))", ";", "//", "/*", "*/", "--", "->",
	"ünï", "日本語", "\u202eabc", "\u200b", "\ufeff", "\uffff", "🦄", "ﬂ°°35¶ß", "\xff\xfe", "", " ", "default", "digraph", "strict", "node", "edge", "HTML<>", "javascript:alert(1)", "http://x.y", "fa:fa-bug",
	strings.Repeat("long.", 50),
}

// hostileReport has each of the texts as a process and as a name, and all of them as
// the host name.
func hostileReport() *report.Report {
	r := &report.Report{HostID: "h\"1", HostName: strings.Join(hostile, " "), Rules: reporter.RulesCurrent}
	for i, s := range hostile {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 40000)
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 80)
		r.Connections = append(r.Connections, report.Connection{Proto: "tcp", State: "ESTABLISHED", Direction: report.DirectionListener, Closed: i%2 == 0,
			From: report.End{Addr: from, Netns: 1, Processes: []report.Process{{PID: 1, Comm: s}}}, To: report.End{Addr: to}})
		r.Names = append(r.Names, report.Names{Addr: to.Addr(), Forward: []string{s}})
	}
	return r
}

// graphviz runs dot on a graph. Warnings about fonts are allowed, errors in the graph
// are not.
func graphviz(t *testing.T, graph []byte, format string) []byte {
	t.Helper()
	dot, err := exec.LookPath("dot")
	if err != nil {
		t.Skip("no dot: install graphviz")
	}
	cmd := exec.Command(dot, "-T"+format)
	cmd.Stdin = bytes.NewReader(graph)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil || strings.Contains(messages.String(), "Error") || strings.Contains(messages.String(), "<stdin>") {
		t.Fatalf("dot: %v: %s\n%s", err, messages.Bytes(), graph)
	}
	return out.Bytes()
}

// Graphviz reads back the texts that were written.
func TestDotEscapes(t *testing.T) {
	g := draw(hostileReport())
	var read struct {
		Objects []struct{ Name, Label string }
		Edges   []struct{ Tail, Head int }
	}
	if err := json.Unmarshal(graphviz(t, g.dot(), "json0"), &read); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, o := range read.Objects {
		labels[o.Name] = o.Label
	}
	if len(read.Edges) != len(g.edges) || len(labels) != len(g.nodes)+len(g.frames) {
		t.Errorf("%d edges, %d objects, want %d, %d", len(read.Edges), len(labels), len(g.edges), len(g.nodes)+len(g.frames))
	}
	for i, n := range g.nodes {
		var lines []string
		for _, l := range n.lines {
			lines = append(lines, dotEscapes.Replace(quote.Text(l)))
		}
		if got, want := labels[fmt.Sprint("n", i)], strings.Join(lines, `\n`); got != want && strings.ReplaceAll(got, `"`, `\"`) != want {
			t.Errorf("node %d reads %q, want %q", i, got, want)
		}
	}
	svg := string(graphviz(t, g.dot(), "svg"))
	for _, want := range []string{"&lt;script&gt;", "&amp;lt;", `\N\G\E\T\H\L\n\l[1]`, "日本語", "end[1]"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the picture lacks %s", want)
		}
	}
}

// A Mermaid text consists of letters, digits, spaces, commas, single dots and dashes,
// numbered entities and our own line breaks, so no parser interprets it. Decoded, the
// entities are the text.
func TestMermaidEscapes(t *testing.T) {
	safe := regexp.MustCompile(`^"(?:[A-Za-z0-9 ,]|[A-Za-z0-9][.-][A-Za-z0-9]|\b[.-]\b|#[0-9]+;|<br/>)*"$`)
	entity := regexp.MustCompile(`#[0-9]+;`)
	for _, s := range append(slices.Clone(hostile), strings.Join(hostile, "")) {
		for _, lines := range [][]string{{s}, {"a", s}, {"a" + s + "b", "", s}} {
			text := mermaidText(lines)
			if !safe.MatchString(text) {
				t.Errorf("%q: %s", lines, text)
			}
			back := entity.ReplaceAllStringFunc(strings.NewReplacer("<br/>", "\n", mermaidJoiner, "").Replace(strings.Trim(text, `"`)), func(e string) string {
				var c rune
				fmt.Sscanf(e, "#%d;", &c)
				return string(c)
			})
			var want []string
			for _, l := range lines {
				want = append(want, quote.Text(l))
			}
			if back != strings.Join(want, "\n") {
				t.Errorf("%q reads %q in Mermaid", want, back)
			}
		}
	}
	for line := range strings.Lines(string(draw(hostileReport()).mermaid())) {
		if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(c rune) bool { return c > unicode.MaxASCII || c < ' ' }) {
			t.Errorf("%q", line)
		}
	}
}

func conn(from, to string, change func(*report.Connection)) report.Connection {
	c := report.Connection{Proto: "tcp", Direction: report.DirectionHandshake, State: "ESTABLISHED",
		From: report.End{Addr: netip.MustParseAddrPort(from)}, To: report.End{Addr: netip.MustParseAddrPort(to)}}
	if change != nil {
		change(&c)
	}
	return c
}

// A picture shows frames, the ports of one process in one box, translated addresses,
// the evidence for directions, and ended connections.
func TestDraw(t *testing.T) {
	curl := []report.Process{{PID: 7, Comm: "curl"}}
	owned := func(c *report.Connection) { c.From.Netns, c.From.Processes = 1, curl }
	r := &report.Report{HostID: "h1", HostName: "web", Rules: reporter.RulesCurrent, Connections: []report.Connection{
		conn("10.0.0.1:40000", "172.17.0.2:8080", func(c *report.Connection) {
			owned(c)
			c.NAT = []report.NAT{{OriginalSrc: c.From.Addr, OriginalDst: netip.MustParseAddrPort("10.0.0.80:80"),
				ReplySrc: c.To.Addr, ReplyDst: netip.MustParseAddrPort("10.0.0.254:1024")}}
		}),
		conn("10.0.0.1:40001", "172.17.0.2:8080", owned),
		conn("10.0.0.1:40002", "172.17.0.2:8080", func(c *report.Connection) { owned(c); c.Closed = true }),
		conn("10.0.0.1:40003", "172.17.0.2:8080", nil), // no process, but the namespace is known
		conn("127.0.0.1:5000", "127.0.0.1:80", func(c *report.Connection) { c.Direction = report.DirectionUnknown }),
		conn("172.17.0.2:8080", "192.0.2.1:443", func(c *report.Connection) { c.MayHaveClosed = true }), // a server is a client too
	}, Names: []report.Names{{Addr: netip.MustParseAddr("172.17.0.2"), Forward: []string{"db.internal"}}, {Addr: netip.MustParseAddr("192.0.2.1"), Host: "web"}}}
	g := draw(r)
	var got []string
	name := func(i int) string { return strings.Join(g.nodes[i].lines, "/") }
	for _, n := range g.frames {
		got = append(got, fmt.Sprintf("%s in %d", n.label, n.in))
	}
	for i, n := range g.nodes {
		got = append(got, fmt.Sprintf("%s in %d", name(i), n.in))
	}
	for _, e := range g.edges {
		got = append(got, fmt.Sprintf("%s > %s: %s %d %v", name(e.from), name(e.to), strings.Join(e.lines, "/"), e.line, e.closed))
	}
	want := []string{
		"host web in -1", "network namespace 1 in 0",
		"10.0.0.1, 3 ports/curl[7] in 1", "db.internal/172.17.0.2:8080 in -1", "10.0.0.254:1024/NAT in 0", "10.0.0.80:80/NAT in -1", "10.0.0.1:40003 in 1",
		"127.0.0.1:5000 in 0", "127.0.0.1:80 in 0", "192.0.2.1:443 in 0",
		"10.0.0.1, 3 ports/curl[7] > db.internal/172.17.0.2:8080: 2 connections 0 false",
		"10.0.0.254:1024/NAT > 10.0.0.1, 3 ports/curl[7]:  6 false",
		"db.internal/172.17.0.2:8080 > 10.0.0.80:80/NAT:  6 false",
		"10.0.0.1, 3 ports/curl[7] > db.internal/172.17.0.2:8080: closed 0 true",
		"10.0.0.1:40003 > db.internal/172.17.0.2:8080:  0 false",
		"127.0.0.1:5000 > 127.0.0.1:80:  4 false",
		"db.internal/172.17.0.2:8080 > 192.0.2.1:443: closed? 0 false",
	}
	legend := []string{"arrows point from client to server", "thick: a handshake was seen", "no arrow: direction unknown",
		"dashed box: what NAT shows in place of an endpoint", "grey: closed"}
	got, want = append(got, g.legend...), append(want, legend...)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Connections of several zones are several edges, with the zone as a text.
func TestDrawZones(t *testing.T) {
	in := func(zone uint16) report.Connection {
		return conn("10.0.0.1:40000", "10.0.0.2:80", func(c *report.Connection) { c.Zone = zone })
	}
	for _, c := range []struct {
		list []report.Connection
		want []string
	}{
		{[]report.Connection{in(3), in(7), in(7), in(0)}, []string{"zone 3", "2 connections/zone 7", ""}},
		{[]report.Connection{in(3), in(3)}, []string{"2 connections"}},
	} {
		var got []string
		for _, e := range draw(&report.Report{Connections: c.list}).edges {
			got = append(got, strings.Join(e.lines, "/"))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// A picture of two reports shows which of them has a line.
func TestDrawTwo(t *testing.T) {
	one := func(list ...report.Connection) *report.Report {
		return &report.Report{HostID: "h1", Connections: list}
	}
	x, y, z := conn("10.0.0.1:1000", "10.0.0.2:80", nil), conn("10.0.0.1:1001", "10.0.0.2:81", nil), conn("10.0.0.1:1002", "10.0.0.2:82", nil)
	g := draw(one(x, y), one(y, z))
	var sides []side
	for _, e := range g.edges {
		sides = append(sides, e.side)
	}
	if want := []side{inA, inBoth, inB}; !slices.Equal(sides, want) || g.nodes[0].side != inBoth {
		t.Errorf("sides %v, client's %v", sides, g.nodes[0].side)
	}
	if !slices.Equal(g.legend[2:], []string{"orange: only in the first", "blue: only in the second"}) {
		t.Errorf("%q", g.legend)
	}
	graphviz(t, g.dot(), "svg")
	for _, written := range [][]byte{g.dot(), g.mermaid()} {
		for _, s := range []side{inA, inB} {
			if !bytes.Contains(written, []byte(sideColors[s])) {
				t.Errorf("no %s in\n%s", sideColors[s], written)
			}
		}
	}
}

// Graphviz draws every report of the shipped tape, and drawing twice gives the same
// bytes.
func TestDrawShippedTape(t *testing.T) {
	for _, r := range replaytest.Replay(t, replaytest.Lab(t), "") {
		dot, mermaid := draw(r).dot(), draw(r).mermaid()
		graphviz(t, dot, "svg")
		if !bytes.Equal(dot, draw(r).dot()) || !bytes.Equal(mermaid, draw(r).mermaid()) {
			t.Error("the second drawing differs")
		}
	}
}

// similar is a server with n unknown clients, and one process with n unknown
// servers.
func similar(n int) *report.Report {
	r := &report.Report{HostID: "h1"}
	for i := range n {
		c := conn(fmt.Sprintf("192.0.%d.%d:40000", i>>8, i&255), "10.0.0.1:443", func(c *report.Connection) { c.To.Netns = 1 })
		r.Connections = append(r.Connections, c)
	}
	for i := range n {
		c := conn("10.0.0.1:5000", fmt.Sprintf("198.51.%d.%d:80", i>>8, i&255), func(c *report.Connection) {
			c.From.Netns, c.From.Processes = 1, []report.Process{{PID: 1, Comm: "crawler"}}
		})
		r.Connections = append(r.Connections, c)
	}
	return r
}

// Many boxes that look the same become one; a few do not, and one that looks
// different does not join them.
func TestBundle(t *testing.T) {
	g := draw(similar(maxAlike))
	if len(g.nodes) != 2*maxAlike+2 || len(g.edges) != 2*maxAlike {
		t.Errorf("%d boxes, %d lines", len(g.nodes), len(g.edges))
	}
	r := similar(1000)
	r.Connections[5].Closed = true // one that looks different
	r.Connections = append(r.Connections, conn("10.0.0.1:5001", "198.51.100.1:81", func(c *report.Connection) { c.From = r.Connections[1000].From }))
	g = draw(r)
	var got []string
	for _, n := range g.nodes {
		got = append(got, strings.Join(n.lines, "/"))
	}
	for _, e := range g.edges {
		got = append(got, fmt.Sprint(e.from, e.to, e.lines))
	}
	want := []string{"999 addresses, one is/192.0.0.0", "10.0.0.1:443", "192.0.0.5:40000", "10.0.0.1:5000/crawler[1]", "1000 addresses, one is/198.51.0.0:80", "198.51.100.1:81",
		"0 1 [999 connections]", "2 1 [closed]", "3 4 [1000 connections]", "3 5 []"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Of a graph that is too large for Mermaid the first part is written, and the legend
// says what is missing.
func TestMermaidLimits(t *testing.T) {
	r := &report.Report{HostID: "h1"}
	for _, n := range []int{0, 100, 499, 500, 501, 5000} {
		r.Connections = nil
		for i := range n {
			r.Connections = append(r.Connections, conn(fmt.Sprintf("10.0.%d.%d:1", i>>8, i&255), fmt.Sprintf("10.1.%d.%d:2", i>>8, i&255), nil))
		}
		g := draw(r)
		b := string(g.mermaid())
		lines := strings.Count(b, "==>")
		explained := strings.Contains(b, fmt.Sprintf("not drawn#58; %d of %d lines", n-lines, n))
		if lines > mermaidEdges || len(b) > mermaidSize || explained != (lines < n) || n <= 100 && lines < n || lines < min(n, 200) {
			t.Errorf("%d connections: %d lines, %d bytes, explained in the legend: %v", n, lines, len(b), explained)
		}
		for i := range lines {
			if strings.Count(b, fmt.Sprintf("\n  n%d[", 2*i)) != 1 || strings.Count(b, fmt.Sprintf("\n  n%d ==> n%d\n", 2*i, 2*i+1)) != 1 {
				t.Fatalf("line %d of %d", i, lines)
			}
		}
		if strings.Count(string(g.dot()), " -> ") != n {
			t.Errorf("dot lacks some of %d lines", n)
		}
	}
}
