package reporter

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ParseReport reads one report from its canonical JSON, as AppendJSON writes
// it; a final newline may follow. It is strict: what it accepts, AppendJSON
// writes again byte for byte. Errors tell the offset in bytes.
func ParseReport(line []byte) (*Report, error) {
	r := new(Report)
	err := parse(bytes.TrimSuffix(line, []byte{'\n'}), func(p *parser) { *r = p.report() }, r.AppendJSON)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return r, nil
}

// ParseConnection reads one connection from its canonical JSON, as strictly.
func ParseConnection(text []byte) (*Connection, error) {
	c := new(Connection)
	err := parse(text, func(p *parser) { *c = p.connection() }, c.AppendJSON)
	if err != nil {
		return nil, fmt.Errorf("connection: %w", err)
	}
	return c, nil
}

// parse reads the whole text, and compares it with what is written of it.
func parse(text []byte, read func(*parser), write func([]byte) []byte) error {
	p := &parser{text: text, seen: map[string]string{}}
	read(p)
	if p.err == nil && p.at < len(text) {
		p.fail("more stands behind it")
	}
	if p.err != nil {
		return p.err
	}
	if again := write(make([]byte, 0, len(text))); !bytes.Equal(again, text) {
		for p.at = 0; p.at < len(again) && p.at < len(text) && again[p.at] == text[p.at]; p.at++ {
		}
		p.fail("not canonical JSON")
	}
	return p.err
}

// A parser reads the fields in the order in which AppendJSON writes them. After
// an error it reads nothing more.
type parser struct {
	text []byte
	at   int
	err  error
	seen map[string]string // short strings, so that equal ones are kept once
}

func (p *parser) report() (r Report) {
	p.want(`{"host":{"id":`)
	r.HostID = p.string()
	p.want(`,"name":`)
	r.HostName = p.string()
	p.want(`},"tick":`)
	r.Tick = p.number(64)
	p.want(`,"at":`)
	r.At = p.time()
	p.want(`,"window":`)
	r.Window = p.duration()
	p.want(`,"rules":`)
	r.Rules = p.string()
	p.want(`,"coverage":`)
	r.Coverage = parseList(p, p.coverage)
	p.want(`,"connections":`)
	r.Connections = parseList(p, p.connection)
	p.want(`,"endpoints":`)
	r.Endpoints = parseList(p, p.endpoint)
	p.want(`,"names":`)
	r.Names = parseList(p, p.names)
	p.want(`}`)
	return r
}

func (p *parser) coverage() (c Coverage) {
	p.want(`{"source":`)
	c.Source = p.string()
	p.want(`,"state":`)
	c.State = CoverageState(p.string())
	p.want(`,"why":`)
	c.Why = p.string()
	p.want(`,"records":`)
	c.Records = p.number(64)
	p.want(`,"lost":`)
	c.Lost = p.number(64)
	p.want(`,"undecodable":`)
	c.Undecodable = p.number(64)
	p.want(`,"ignored":`)
	c.Ignored = p.number(64)
	if p.accept(`,"netns":`) {
		c.Netns = p.number(64)
	}
	p.want(`}`)
	return c
}

func (p *parser) connection() (c Connection) {
	p.want(`{"proto":`)
	c.Proto = p.string()
	p.want(`,"from":`)
	c.From = p.end()
	p.want(`,"to":`)
	c.To = p.end()
	p.want(`,"state":`)
	c.State = p.string()
	p.want(`,"direction":`)
	c.Direction = Direction(p.string())
	p.want(`,"nat":`)
	c.NAT = parseList(p, p.nat)
	p.want(`,"first_seen":`)
	c.FirstSeen = p.duration()
	p.want(`,"last_seen":`)
	c.LastSeen = p.duration()
	p.want(`,"closed":`)
	c.Closed = p.bool()
	p.want(`,"seen":`)
	c.Seen = parseList(p, p.string)
	c.MayHaveClosed = p.accept(`,"may_have_closed":true`)
	p.want(`}`)
	return c
}

func (p *parser) end() (e End) {
	p.want(`{"addr":`)
	addr := p.addr()
	p.want(`,"port":`)
	e.Addr = netip.AddrPortFrom(addr, uint16(p.number(16)))
	p.want(`,"netns":`)
	e.Netns = p.number(64)
	p.want(`,"processes":`)
	e.Processes = parseList(p, p.process)
	p.want(`}`)
	return e
}

func (p *parser) process() (q Process) {
	p.want(`{"pid":`)
	q.PID = uint32(p.number(32))
	p.want(`,"comm":`)
	q.Comm = p.string()
	p.want(`}`)
	return q
}

func (p *parser) nat() (n NAT) {
	p.want(`{"original":{"src":`)
	n.OriginalSrc = p.addrPort()
	p.want(`,"dst":`)
	n.OriginalDst = p.addrPort()
	p.want(`},"reply":{"src":`)
	n.ReplySrc = p.addrPort()
	p.want(`,"dst":`)
	n.ReplyDst = p.addrPort()
	p.want(`}}`)
	return n
}

func (p *parser) endpoint() (e Endpoint) {
	p.want(`{"id":`)
	at := p.at
	id := p.string()
	p.want(`,"addr":`)
	addr := p.addr()
	p.want(`,"port":`)
	e.Addr = netip.AddrPortFrom(addr, uint16(p.number(16)))
	var room [64]byte
	end := string(e.AppendID(room[:0]))
	if p.err == nil && !strings.HasSuffix(id, end) {
		p.at = at
		p.fail("the id of an endpoint is %q; want one that ends in %q, its address and port", id, end)
	}
	e.Scope = strings.Clone(strings.TrimSuffix(id, end))
	p.want(`,"aliases":`)
	e.Aliases = parseList(p, p.addrPort)
	p.want(`,"processes":`)
	e.Processes = parseList(p, p.process)
	p.want(`}`)
	return e
}

func (p *parser) names() (n Names) {
	p.want(`{"addr":`)
	n.Addr = p.addr()
	p.want(`,"forward":`)
	n.Forward = parseList(p, p.string)
	p.want(`,"reverse":`)
	n.Reverse = parseList(p, p.string)
	if p.accept(`,"host":`) {
		n.Host = p.string()
	}
	p.want(`}`)
	return n
}

// parseList reads a list; an empty one is nil.
func parseList[T any](p *parser, one func() T) (list []T) {
	p.want(`[`)
	if p.accept(`]`) {
		return nil
	}
	for p.err == nil {
		list = append(list, one())
		if !p.accept(`,`) {
			p.want(`]`)
			break
		}
	}
	return list
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("byte %d: "+format, append([]any{p.at}, args...)...)
	}
}

// accept reads the text if it stands there.
func (p *parser) accept(text string) bool {
	if p.err != nil || len(p.text)-p.at < len(text) || string(p.text[p.at:p.at+len(text)]) != text {
		return false
	}
	p.at += len(text)
	return true
}

func (p *parser) want(text string) {
	if p.err == nil && !p.accept(text) {
		rest := p.text[p.at:]
		p.fail("%q where a report has %s; want the lines that replay --all --format ndjson prints", rest[:min(len(rest), 24)], text)
	}
}

func (p *parser) bool() bool {
	if p.accept(`true`) {
		return true
	}
	p.want(`false`)
	return false
}

func (p *parser) number(bits int) uint64 {
	end := p.at
	for end < len(p.text) && p.text[end]-'0' < 10 {
		end++
	}
	n, err := strconv.ParseUint(string(p.text[p.at:end]), 10, bits)
	if err != nil {
		p.fail("%q is no number of %d bits", p.text[p.at:end], bits)
		return 0
	}
	p.at = end
	return n
}

// quoted reads a string that has no escapes. The bytes are those of the text.
func (p *parser) quoted() []byte {
	p.want(`"`)
	if p.err != nil {
		return nil
	}
	n := bytes.IndexByte(p.text[p.at:], '"')
	if n < 0 {
		p.fail("a string without an end")
		return nil
	}
	s := p.text[p.at : p.at+n]
	p.at += n + 1
	return s
}

func (p *parser) time() int64 {
	at := p.at
	t, err := time.Parse(time.RFC3339Nano, string(p.quoted()))
	if err != nil {
		p.at = at
		p.fail("no time: %v", err)
		return 0
	}
	return t.UnixNano()
}

func (p *parser) duration() int64 {
	at := p.at
	d, err := time.ParseDuration(string(p.quoted()))
	if err != nil {
		p.at = at
		p.fail("no duration: %v", err)
	}
	return int64(d)
}

func (p *parser) addr() (a netip.Addr) {
	at := p.at
	if s := p.quoted(); len(s) > 0 {
		var err error
		if a, err = netip.ParseAddr(string(s)); err != nil {
			p.at = at
			p.fail("no address: %v", err)
		}
	}
	return a
}

func (p *parser) addrPort() (a netip.AddrPort) {
	at := p.at
	if s := p.quoted(); len(s) > 0 {
		var err error
		if a, err = netip.ParseAddrPort(string(s)); err != nil {
			p.at = at
			p.fail("no address with a port: %v", err)
		}
	}
	return a
}
