package report

import (
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends the report's canonical JSON, without a final newline: fields in a
// fixed order, no spaces, no HTML escapes, U+FFFD for invalid UTF-8, and lists that are
// never null.
func (r *Report) AppendJSON(b []byte) []byte {
	b = append(b, `{"host":{"id":`...)
	b = appendString(b, r.HostID)
	b = append(b, `,"name":`...)
	b = appendString(b, r.HostName)
	b = append(b, `},"tick":`...)
	b = strconv.AppendUint(b, r.Tick, 10)
	b = append(b, `,"at":`...)
	b = appendTime(b, r.At)
	b = append(b, `,"window":`...)
	b = appendDuration(b, r.Window)
	b = append(b, `,"rules":`...)
	b = appendString(b, r.Rules)
	b = append(b, `,"coverage":`...)
	b = appendList(b, r.Coverage, appendCoverage)
	b = append(b, `,"connections":`...)
	b = appendList(b, r.Connections, appendConnection)
	b = append(b, `,"endpoints":`...)
	b = appendList(b, r.Endpoints, appendEndpoint)
	b = append(b, `,"names":`...)
	b = appendList(b, r.Names, appendNames)
	if len(r.Attempts) > 0 {
		b = append(b, `,"attempts":`...)
		b = appendList(b, r.Attempts, appendAttempt)
	}
	if len(r.HostEvents) > 0 {
		b = append(b, `,"host_events":`...)
		b = appendList(b, r.HostEvents, appendHostEvent)
	}
	return append(b, '}')
}

// AppendJSON appends the connection's canonical JSON, as in its report.
func (c *Connection) AppendJSON(b []byte) []byte { return appendConnection(b, c) }

// AppendJSON appends the endpoint's canonical JSON, as in its report.
func (e *Endpoint) AppendJSON(b []byte) []byte { return appendEndpoint(b, e) }

// AppendJSON appends the canonical JSON of the names, as in their report.
func (n *Names) AppendJSON(b []byte) []byte { return appendNames(b, n) }

// AppendJSON appends the canonical JSON of the coverage, as in its report.
func (c *Coverage) AppendJSON(b []byte) []byte { return appendCoverage(b, c) }

// AppendJSON appends the event's canonical JSON, as in its report.
func (e *HostEvent) AppendJSON(b []byte) []byte { return appendHostEvent(b, e) }

func appendList[T any](b []byte, list []T, one func([]byte, *T) []byte) []byte {
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, &list[i])
	}
	return append(b, ']')
}

func appendCoverage(b []byte, c *Coverage) []byte {
	b = append(b, `{"source":`...)
	b = appendString(b, c.Source)
	b = append(b, `,"state":`...)
	b = appendString(b, string(c.State))
	b = append(b, `,"why":`...)
	b = appendString(b, c.Why)
	b = append(b, `,"records":`...)
	b = strconv.AppendUint(b, c.Records, 10)
	b = append(b, `,"lost":`...)
	b = strconv.AppendUint(b, c.Lost, 10)
	b = append(b, `,"undecodable":`...)
	b = strconv.AppendUint(b, c.Undecodable, 10)
	b = append(b, `,"ignored":`...)
	b = strconv.AppendUint(b, c.Ignored, 10)
	if c.Netns != 0 {
		b = append(b, `,"netns":`...)
		b = strconv.AppendUint(b, c.Netns, 10)
	}
	return append(b, '}')
}

func appendConnection(b []byte, c *Connection) []byte {
	b = append(b, `{"proto":`...)
	b = appendString(b, c.Proto)
	b = append(b, `,"from":`...)
	b = appendEnd(b, &c.From)
	b = append(b, `,"to":`...)
	b = appendEnd(b, &c.To)
	b = append(b, `,"state":`...)
	b = appendString(b, c.State)
	b = append(b, `,"direction":`...)
	b = appendString(b, string(c.Direction))
	b = append(b, `,"nat":`...)
	b = appendList(b, c.NAT, appendNAT)
	b = append(b, `,"first_seen":`...)
	b = appendDuration(b, c.FirstSeen)
	b = append(b, `,"last_seen":`...)
	b = appendDuration(b, c.LastSeen)
	if c.Closed {
		b = append(b, `,"closed":true,"seen":`...)
	} else {
		b = append(b, `,"closed":false,"seen":`...)
	}
	b = appendList(b, c.Seen, appendText)
	b = appendZone(b, c.Zone)
	if c.Connect != 0 {
		b = append(b, `,"connect":`...)
		b = appendDuration(b, c.Connect)
	}
	if c.MayHaveClosed {
		b = append(b, `,"may_have_closed":true`...)
	}
	return append(b, '}')
}

func appendAttempt(b []byte, a *Attempt) []byte {
	b = append(b, `{"proto":`...)
	b = appendString(b, a.Proto)
	b = append(b, `,"from":{"addr":"`...)
	b = appendAddr(b, a.From.Addr.Addr())
	b = append(b, '"')
	b = appendEndRest(b, &a.From)
	b = append(b, `,"to":`...)
	b = appendEnd(b, &a.To)
	b = append(b, `,"nat":`...)
	b = appendList(b, a.NAT, appendNAT)
	b = append(b, `,"outcome":`...)
	b = appendString(b, string(a.Outcome))
	b = append(b, `,"why":`...)
	b = appendString(b, a.Why)
	b = append(b, `,"count":`...)
	b = strconv.AppendUint(b, a.Count, 10)
	b = append(b, `,"first_seen":`...)
	b = appendDuration(b, a.FirstSeen)
	b = append(b, `,"last_seen":`...)
	b = appendDuration(b, a.LastSeen)
	b = append(b, `,"seen":`...)
	b = appendList(b, a.Seen, appendText)
	if a.Earlier != 0 {
		b = append(b, `,"earlier":`...)
		b = strconv.AppendUint(b, a.Earlier, 10)
	}
	return append(b, '}')
}

func appendEnd(b []byte, e *End) []byte {
	b = append(b, `{"addr":"`...)
	b = appendAddr(b, e.Addr.Addr())
	b = append(b, `","port":`...)
	b = appendPort(b, e.Addr.Port())
	return appendEndRest(b, e)
}

// appendEndRest appends what follows the address and port of an end.
func appendEndRest(b []byte, e *End) []byte {
	b = append(b, `,"netns":`...)
	b = strconv.AppendUint(b, e.Netns, 10)
	b = append(b, `,"processes":`...)
	b = appendList(b, e.Processes, appendProcess)
	return append(b, '}')
}

func appendProcess(b []byte, p *Process) []byte {
	b = append(b, `{"pid":`...)
	b = strconv.AppendUint(b, uint64(p.PID), 10)
	b = append(b, `,"comm":`...)
	b = appendString(b, p.Comm)
	return append(b, '}')
}

func appendNAT(b []byte, n *NAT) []byte {
	b = append(b, `{"original":{"src":`...)
	b = appendAddrPort(b, &n.OriginalSrc)
	b = append(b, `,"dst":`...)
	b = appendAddrPort(b, &n.OriginalDst)
	b = append(b, `},"reply":{"src":`...)
	b = appendAddrPort(b, &n.ReplySrc)
	b = append(b, `,"dst":`...)
	b = appendAddrPort(b, &n.ReplyDst)
	return append(appendZone(append(b, '}'), n.Zone), '}')
}

// appendZone appends a zone as the next field, unless it is 0.
func appendZone(b []byte, zone uint16) []byte {
	if zone == 0 {
		return b
	}
	return strconv.AppendUint(append(b, `,"zone":`...), uint64(zone), 10)
}

func appendEndpoint(b []byte, e *Endpoint) []byte {
	b = append(b, `{"id":"`...)
	if e.Scope != "" {
		b = appendString(b[:len(b)-1], e.Scope)
		b = b[:len(b)-1] // the id continues
	}
	b = append(b, ';')
	at := len(b)
	b = appendAddr(b, e.Addr.Addr())
	addr := b[at:]
	b = append(b, ';')
	at = len(b)
	b = appendPort(b, e.Addr.Port())
	port := b[at:]
	b = append(append(b, `","addr":"`...), addr...)
	b = append(append(b, `","port":`...), port...)
	b = append(b, `,"aliases":`...)
	b = appendList(b, e.Aliases, appendAddrPort)
	b = append(b, `,"processes":`...)
	b = appendList(b, e.Processes, appendProcess)
	return append(b, '}')
}

func appendNames(b []byte, n *Names) []byte {
	b = append(b, `{"addr":"`...)
	b = n.Addr.AppendTo(b)
	b = append(b, `","forward":`...)
	b = appendList(b, n.Forward, appendText)
	b = append(b, `,"reverse":`...)
	b = appendList(b, n.Reverse, appendText)
	if n.Host != "" {
		b = append(b, `,"host":`...)
		b = appendString(b, n.Host)
	}
	return append(b, '}')
}

func appendHostEvent(b []byte, e *HostEvent) []byte {
	b = append(b, `{"at":`...)
	b = appendTime(b, e.At)
	b = append(b, `,"what":`...)
	b = appendString(b, e.What)
	b = append(b, `,"count":`...)
	b = strconv.AppendUint(b, e.Count, 10)
	return append(b, '}')
}

// appendTime appends a time in Unix ns.
func appendTime(b []byte, at int64) []byte {
	b = time.Unix(0, at).UTC().AppendFormat(append(b, '"'), time.RFC3339Nano)
	return append(b, '"')
}

func appendAddrPort(b []byte, a *netip.AddrPort) []byte {
	b = append(b, '"')
	b = a.AppendTo(b)
	return append(b, '"')
}

func appendAddr(b []byte, a netip.Addr) []byte { return a.AppendTo(b) }

func appendPort(b []byte, port uint16) []byte { return strconv.AppendUint(b, uint64(port), 10) }

// appendDuration appends the text of time.Duration.String without allocation.
func appendDuration(b []byte, ns int64) []byte {
	b = append(b, '"')
	u := uint64(ns)
	if ns < 0 {
		b = append(b, '-')
		u = -u
	}
	switch {
	case u == 0:
		b = append(b, '0', 's')
	case u < 1e3:
		b = append(strconv.AppendUint(b, u, 10), "ns"...)
	case u < 1e6:
		b = append(appendFraction(b, u, 1e3), "µs"...)
	case u < 1e9:
		b = append(appendFraction(b, u, 1e6), "ms"...)
	default:
		if h := u / 3600e9; h > 0 {
			b = append(strconv.AppendUint(b, h, 10), 'h')
		}
		if m := u / 60e9; m > 0 {
			b = append(strconv.AppendUint(b, m%60, 10), 'm')
		}
		b = append(appendFraction(b, u%60e9, 1e9), 's')
	}
	return append(b, '"')
}

// appendFraction appends u/unit as a decimal fraction without trailing zeros.
func appendFraction(b []byte, u, unit uint64) []byte {
	b = strconv.AppendUint(b, u/unit, 10)
	if u %= unit; u == 0 {
		return b
	}
	b = append(b, '.')
	at := len(b)
	for ; unit > 1; unit /= 10 {
		b = append(b, '0')
	}
	end := at
	for i := len(b) - 1; u > 0; i-- {
		if u%10 != 0 && end == at {
			end = i + 1
		}
		b[i] = '0' + byte(u%10)
		u /= 10
	}
	return b[:end]
}

func appendText(b []byte, s *string) []byte { return appendString(b, *s) }

func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	plain := 0 // s[plain:i] needs no escape
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[plain:i]...)
		n := 1
		switch {
		case c >= utf8.RuneSelf:
			var r rune
			r, n = utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r) // U+FFFD for invalid UTF-8
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i += n
		plain = i
	}
	return append(append(b, s[plain:]...), '"')
}

// ValidText returns a text as the canonical JSON shows it: U+FFFD replaces each byte that
// is not part of valid UTF-8.
func ValidText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}
