package fold

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/reporter"
)

// A Selector says which connections are meant: all of its terms must match.
type Selector struct {
	text  string
	terms []term
}

// term is one end of a connection, either of them, or both with a direction.
type term struct {
	from, to *endPattern // from alone: either end
}

// endPattern is what is said of an end. What is not said matches all.
type endPattern struct {
	prefix netip.Prefix
	port   int // -1: any
	pid    int64
	word   string // a process or a name, with * for any text
}

// ParseSelector reads a selector: terms joined with spaces. A term is
// 10.0.0.1, 10.1.0.0/16, :443, 10.0.0.2:80, [2001:db8::1]:443, pid:4242, a
// name of a process or of an address, * for all, or two of these with -> from
// client to server.
func ParseSelector(s string) (*Selector, error) {
	sel := &Selector{text: s}
	for _, word := range strings.Fields(s) {
		var t term
		var err error
		client, server, arrow := strings.Cut(word, "->")
		if t.from, err = parseEnd(client, arrow); err == nil && arrow {
			t.to, err = parseEnd(server, arrow)
			if strings.Contains(server, "->") {
				err = fmt.Errorf("%q has two arrows; want 10.0.0.1->10.0.0.2:80", word)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("selector %q: %w", s, err)
		}
		sel.terms = append(sel.terms, t)
	}
	if len(sel.terms) == 0 {
		return nil, fmt.Errorf("selector %q is empty; * means all", s)
	}
	return sel, nil
}

// String is the selector as it was written.
func (s *Selector) String() string { return s.text }

func parseEnd(s string, ofArrow bool) (*endPattern, error) {
	p := &endPattern{port: -1, pid: -1}
	if s == "" || s == "*" {
		if s == "" && !ofArrow {
			return nil, fmt.Errorf("an empty term; * means all")
		}
		return p, nil
	}
	if pid, ok := strings.CutPrefix(s, "pid:"); ok {
		n, err := strconv.ParseUint(pid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no process; want pid:4242", s)
		}
		p.pid = int64(n)
		return p, nil
	}
	host := s
	switch at := strings.LastIndexByte(s, ':'); {
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 || end+1 < len(s) && s[end+1] != ':' {
			return nil, fmt.Errorf("%q has no ] before its port; want [2001:db8::1]:443", s)
		}
		host = s[1:end]
		if err := p.setPort(s[end+1:]); err != nil {
			return nil, err
		}
		if !p.setAddress(host) {
			return nil, fmt.Errorf("%q is no address; want [2001:db8::1]:443", host)
		}
		return p, nil
	case at >= 0 && strings.Count(s, ":") == 1 && isNumber(s[at+1:]):
		host = s[:at]
		if err := p.setPort(s[at:]); err != nil {
			return nil, err
		}
	case at == 0 || at > 0 && at == len(s)-1:
		return nil, fmt.Errorf("%q is no port; want :443", s)
	}
	switch {
	case host == "" || host == "*" || p.setAddress(host):
	case looksNumeric(host):
		return nil, fmt.Errorf("%q is no address or network; want 10.0.0.1, 10.1.0.0/16 or 2001:db8::1", host)
	default:
		p.word = host
	}
	return p, nil
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// looksNumeric tells what is meant as an address from names.
func looksNumeric(s string) bool {
	return strings.Trim(s, "0123456789./") == "" || strings.Count(s, ":") > 1 && strings.Trim(s, "0123456789abcdefABCDEF.:/%") == ""
}

func (p *endPattern) setPort(s string) error {
	if s == "" {
		return nil
	}
	n, err := strconv.ParseUint(s[1:], 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no port; want :443", s)
	}
	p.port = int(n)
	return nil
}

func (p *endPattern) setAddress(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		p.prefix = netip.PrefixFrom(a, a.BitLen())
		return true
	}
	if n, err := netip.ParsePrefix(s); err == nil {
		p.prefix = n.Masked()
		return true
	}
	return false
}

// An Edge is what a selector is held against: two ends, as seen on a
// connection, a message or a row.
type Edge struct {
	From, To EdgeEnd
}

// EdgeEnd is one end under all its addresses.
type EdgeEnd struct {
	Addrs     []netip.AddrPort // its own, and what NAT shows in its place
	Processes []reporter.Process
	Names     []string
}

// Match reports whether the edge is one of those that are meant.
func (s *Selector) Match(e *Edge) bool {
	for i := range s.terms {
		t := &s.terms[i]
		if t.to != nil {
			if !t.from.match(&e.From) || !t.to.match(&e.To) {
				return false
			}
		} else if !t.from.match(&e.From) && !t.from.match(&e.To) {
			return false
		}
	}
	return true
}

// MatchAny reports whether one of the selectors matches; none is all.
func MatchAny(selectors []*Selector, e *Edge) bool {
	return len(selectors) == 0 || slices.ContainsFunc(selectors, func(s *Selector) bool { return s.Match(e) })
}

func (p *endPattern) match(e *EdgeEnd) bool {
	if p.prefix.IsValid() || p.port >= 0 {
		if !slices.ContainsFunc(e.Addrs, p.matchAddr) {
			return false
		}
	}
	if p.pid >= 0 && !slices.ContainsFunc(e.Processes, func(q reporter.Process) bool { return int64(q.PID) == p.pid }) {
		return false
	}
	if p.word == "" {
		return true
	}
	name := strings.TrimSuffix(strings.ToLower(p.word), ".")
	return slices.ContainsFunc(e.Processes, func(q reporter.Process) bool { return glob(p.word, q.Comm) }) ||
		slices.ContainsFunc(e.Names, func(n string) bool { return glob(name, n) })
}

func (p *endPattern) matchAddr(a netip.AddrPort) bool {
	return (p.port < 0 || int(a.Port()) == p.port) && (!p.prefix.IsValid() || p.prefix.Contains(a.Addr()))
}

// glob compares with * for any text.
func glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(s, first) || !strings.HasSuffix(s[len(first):], last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s = s[at+len(part):]
	}
	return true
}
