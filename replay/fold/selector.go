package fold

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/reporter/report"
)

// A Selector selects connections: those that all of its terms match.
type Selector struct {
	text  string
	terms []term
}

// A term matches either end of a connection, or both in their direction.
type term struct {
	from, to *endPattern // to nil: from matches either end
}

// An endPattern matches ends that agree with all of its fields.
type endPattern struct {
	prefix netip.Prefix // invalid: any address
	port   int          // -1: any
	pid    int64        // -1: any
	word   string       // a process or a name, with * for any text; "": any
}

// ParseSelector parses a selector: terms separated by spaces. A term is 10.0.0.1,
// 10.1.0.0/16, :443, 10.0.0.2:80, [2001:db8::1]:443, pid:4242, the name of a process
// or of an address, * for all, or two of these with -> from client to server.
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

// String returns the text that was parsed.
func (s *Selector) String() string { return s.text }

// parseEnd parses the pattern of one end. Beside an arrow it may be empty.
func parseEnd(s string, besideArrow bool) (*endPattern, error) {
	p := &endPattern{port: -1, pid: -1}
	switch {
	case s == "*" || s == "" && besideArrow:
		return p, nil
	case s == "":
		return nil, fmt.Errorf("an empty term; * means all")
	case strings.HasPrefix(s, "pid:"):
		return p, p.setPID(s)
	}
	host, port, bracketed := s, "", strings.HasPrefix(s, "[")
	switch at := strings.LastIndexByte(s, ':'); {
	case bracketed: // [2001:db8::1] or [2001:db8::1]:443
		end := strings.IndexByte(s, ']')
		if end < 0 || end+1 < len(s) && s[end+1] != ':' {
			return nil, fmt.Errorf("%q has no ] before its port; want [2001:db8::1]:443", s)
		}
		host, port = s[1:end], s[end+1:]
	case at >= 0 && strings.Count(s, ":") == 1 && isNumber(s[at+1:]):
		host, port = s[:at], s[at:]
	case at == 0 || at > 0 && at == len(s)-1:
		return nil, fmt.Errorf("%q is not a port; want :443", s)
	}
	if port != "" {
		n, err := strconv.ParseUint(port[1:], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is not a port; want :443", port)
		}
		p.port = int(n)
	}
	switch {
	case p.setAddress(host):
	case bracketed:
		return nil, fmt.Errorf("%q is not an address; want [2001:db8::1]:443", host)
	case host == "" || host == "*":
	case looksNumeric(host):
		return nil, fmt.Errorf("%q is not an address or network; want 10.0.0.1, 10.1.0.0/16 or 2001:db8::1", host)
	default:
		p.word = host
	}
	return p, nil
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// looksNumeric reports whether a text that is not an address was meant as one: no
// name consists of these characters.
func looksNumeric(s string) bool {
	return strings.Trim(s, "0123456789./") == "" || strings.Count(s, ":") > 1 && strings.Trim(s, "0123456789abcdefABCDEF.:/%") == ""
}

// setPID parses pid:4242.
func (p *endPattern) setPID(s string) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "pid:"), 10, 32)
	if err != nil {
		return fmt.Errorf("%q is not a process; want pid:4242", s)
	}
	p.pid = int64(n)
	return nil
}

// setAddress parses an address or a network, and reports whether it is one.
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

// MatchAny reports whether one of the selectors matches the edge. No selectors match
// every edge.
func MatchAny(selectors []*Selector, e *Edge) bool {
	return len(selectors) == 0 || slices.ContainsFunc(selectors, func(s *Selector) bool { return s.match(e) })
}

func (s *Selector) match(e *Edge) bool {
	for i := range s.terms {
		if !s.terms[i].match(e) {
			return false
		}
	}
	return true
}

func (t *term) match(e *Edge) bool {
	if t.to == nil {
		return t.from.match(&e.From) || t.from.match(&e.To)
	}
	return t.from.match(&e.From) && t.to.match(&e.To)
}

func (p *endPattern) match(e *EdgeEnd) bool {
	if p.prefix.IsValid() || p.port >= 0 {
		if !slices.ContainsFunc(e.Addrs, p.matchAddr) {
			return false
		}
	}
	if p.pid >= 0 && !slices.ContainsFunc(e.Processes, func(q report.Process) bool { return int64(q.PID) == p.pid }) {
		return false
	}
	if p.word == "" {
		return true
	}
	name := strings.TrimSuffix(strings.ToLower(p.word), ".")
	return slices.ContainsFunc(e.Processes, func(q report.Process) bool { return glob(p.word, q.Comm) }) ||
		slices.ContainsFunc(e.Names, func(n string) bool { return glob(name, n) })
}

func (p *endPattern) matchAddr(a netip.AddrPort) bool {
	return (p.port < 0 || int(a.Port()) == p.port) && (!p.prefix.IsValid() || p.prefix.Contains(a.Addr()))
}

// glob reports whether s matches the pattern, in which * is any text.
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
