package netlab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Kinds of traffic.
const (
	Routed     = "routed"     // through the gateway, not translated
	DNAT       = "dnat"       // to the gateway's port 80
	Masquerade = "masquerade" // to an outside address; every second one gets a low source port
	DNATSNAT   = "dnat+snat"  // to the gateway's node port, both ends translated
	IPv6       = "ipv6"       // routed
	IPv6DNAT   = "ipv6-dnat"  // to the gateway's port 80
	HighPort   = "high-port"  // the server's port (50051) above the client's (33000...)
	Loopback   = "loopback"   // two for each count: the same tuple in the client's and the server's namespace, at the same time
	Prefork    = "prefork"    // to a server whose children accept, each one connection: routed, DNAT and IPv6 in turn
	Userspace  = "userspace"  // from a TCP stack in a process, through a tun device: the client has no socket
	dnsUDP     = "dns-udp"    // to a name, looked up over UDP; IPv4 and IPv6 in turn
	dnsTCP     = "dns-tcp"    // to a name, looked up over TCP: two for each count, because the query is a connection too
	dnsCNAME   = "dns-cname"  // to a name with three CNAMEs, looked up over UDP
	Refused    = "refused"    // answered with a RST: not a connection
	HalfOpen   = "half-open"  // the SYN or the SYN-ACK is lost: not a connection
)

// Clients of a Pattern that are processes of their own for every connection. They live for the
// Hold, or for about 5 ms.
const (
	Process = "process" // forked
	Exec    = "exec"    // forked and executed; the start of a program takes some ms more
	Setns   = "setns"   // forked; it makes the socket in the client's namespace, and connects it in another one
	Handed  = "handed"  // forked; it ends before another process closes its socket
)

// WholePlan as a Pattern's Hold keeps its connections open until the plan ends.
const WholePlan = -1

// dnsQuery is the Pattern of a Conn to the DNS server.
const dnsQuery = "dns-query"

// Plan describes traffic.
type Plan struct {
	Patterns []Pattern
	Duration time.Duration // at least this long; longer if the patterns take longer
}

// Pattern describes connections of one kind. Fields other than Kind and Count may be zero.
type Pattern struct {
	Kind     string
	Count    int
	After    time.Duration // when it starts
	Over     time.Duration // the connects are spread evenly over this time; 0: as fast as possible
	Hold     time.Duration // how long each connection stays open after its bytes are exchanged, or WholePlan
	Parallel int           // how many connects at the same time; 0: 16
	Bytes    int           // payload that is sent and echoed, in addition to the 16 bytes of the id
	Close    string        // who closes: "client" (or ""), "server", or "reset" (the client, with a RST)
	Client   string        // who connects: one process for all (""), or Process, Exec, Setns or Handed
}

// DefaultPlan returns a plan with connections of every kind, long and short.
func DefaultPlan() Plan {
	return Plan{Duration: 10 * time.Second, Patterns: []Pattern{
		{Kind: DNAT, Count: 5, Hold: WholePlan},
		{Kind: DNAT, Count: 200, After: 2 * time.Second, Bytes: 1000},
		{Kind: DNAT, Count: 20, Over: 6 * time.Second, After: 2 * time.Second, Close: "server"},
		{Kind: DNAT, Count: 40, Over: 5 * time.Second, After: 2 * time.Second, Client: Process},
		{Kind: Masquerade, Count: 6, Hold: WholePlan},
		{Kind: Masquerade, Count: 40, Over: 5 * time.Second, After: 2 * time.Second},
		{Kind: DNATSNAT, Count: 5, Hold: WholePlan},
		{Kind: DNATSNAT, Count: 40, Over: 5 * time.Second, After: 2 * time.Second},
		{Kind: Routed, Count: 5, Hold: WholePlan},
		{Kind: Routed, Count: 200, After: 3 * time.Second, Bytes: 100_000},
		{Kind: Routed, Count: 20, After: 4 * time.Second, Close: "reset"},
		{Kind: IPv6, Count: 5, Hold: WholePlan},
		{Kind: IPv6, Count: 100, After: 3 * time.Second},
		{Kind: IPv6, Count: 20, Over: 5 * time.Second, After: 2 * time.Second, Client: Process},
		{Kind: IPv6DNAT, Count: 5, Hold: WholePlan},
		{Kind: IPv6DNAT, Count: 50, After: 3 * time.Second},
		{Kind: Prefork, Count: 20, Over: 5 * time.Second, After: 2 * time.Second, Client: Process},
		{Kind: HighPort, Count: 5, Hold: WholePlan},
		{Kind: HighPort, Count: 20, After: 3 * time.Second},
		{Kind: Loopback, Count: 3, Hold: WholePlan},
		{Kind: dnsUDP, Count: 4, After: time.Second, Hold: 6 * time.Second},
		{Kind: dnsUDP, Count: 20, Over: 5 * time.Second, After: 2 * time.Second},
		{Kind: dnsTCP, Count: 4, After: time.Second, Hold: 6 * time.Second},
		{Kind: dnsTCP, Count: 20, Over: 5 * time.Second, After: 2 * time.Second},
		{Kind: dnsCNAME, Count: 4, After: time.Second, Hold: 6 * time.Second},
		{Kind: dnsCNAME, Count: 10, Over: 5 * time.Second, After: 2 * time.Second},
		{Kind: Refused, Count: 20, Over: 5 * time.Second},
		{Kind: HalfOpen, Count: 6, Over: 5 * time.Second},
	}}
}

// ReadPlan reads a plan from JSON. Durations are strings ("1.5s", Hold also "whole"):
//
//	{"duration":"10s","patterns":[{"kind":"dnat","count":200,"over":"5s","bytes":1000}]}
func ReadPlan(r io.Reader) (Plan, error) {
	var p Plan
	if err := json.NewDecoder(r).Decode(&p); err != nil {
		return Plan{}, fmt.Errorf("read plan: %w", err)
	}
	return p, p.check()
}

func (p Plan) check() error {
	for i, t := range p.Patterns {
		if err := t.check(); err != nil {
			return fmt.Errorf("pattern %d: %w", i+1, err)
		}
	}
	return nil
}

func (t Pattern) check() error {
	k, ok := kinds[t.Kind]
	switch {
	case !ok:
		return fmt.Errorf("unknown kind %q", t.Kind)
	case t.Count < 0 || t.Bytes < 0 || t.Bytes > maxPayload || t.Parallel < 0:
		return fmt.Errorf("%s: count, bytes or parallel out of range", t.Kind)
	case t.After < 0 || t.Over < 0 || t.Hold < WholePlan:
		return fmt.Errorf("%s: negative time", t.Kind)
	case k.firstPort != 0 && t.Count > portsPerKind:
		return fmt.Errorf("%s: at most %d connections", t.Kind, portsPerKind)
	case !slices.Contains([]string{"", "client", "server", "reset"}, t.Close):
		return fmt.Errorf("%s: close is client, server or reset, not %q", t.Kind, t.Close)
	case !slices.Contains([]string{"", Process, Exec, Setns, Handed}, t.Client):
		return fmt.Errorf("%s: client is %s, %s, %s or %s, not %q", t.Kind, Process, Exec, Setns, Handed, t.Client)
	case t.Client != "" && (t.Hold == WholePlan || t.Bytes != 0 || k.dns != "" || k.stack):
		return fmt.Errorf("%s: a client of its own (%s) has no bytes, looks up no name, and does not last for the whole plan", t.Kind, t.Client)
	case k.stack && (t.Hold == WholePlan || t.Bytes != 0):
		return fmt.Errorf("%s: no bytes, and not for the whole plan", t.Kind)
	case t.Close == "server" && t.Hold != 0:
		return fmt.Errorf("%s: a server closes at once: hold and close server exclude each other", t.Kind)
	}
	return nil
}

func unmarshalStrict(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

type planJSON struct {
	Duration duration  `json:"duration"`
	Patterns []Pattern `json:"patterns"`
}

type patternJSON struct {
	Kind     string   `json:"kind"`
	Count    int      `json:"count"`
	After    duration `json:"after,omitzero"`
	Over     duration `json:"over,omitzero"`
	Hold     duration `json:"hold,omitzero"`
	Parallel int      `json:"parallel,omitzero"`
	Bytes    int      `json:"bytes,omitzero"`
	Close    string   `json:"close,omitzero"`
	Client   string   `json:"client,omitzero"`
}

// duration is a time.Duration with the JSON form "1.5s".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) {
	if d == WholePlan {
		return []byte("whole"), nil
	}
	return []byte(time.Duration(d).String()), nil
}

func (d *duration) UnmarshalText(b []byte) error {
	if string(b) == "whole" {
		*d = WholePlan
		return nil
	}
	v, err := time.ParseDuration(string(b))
	*d = duration(v)
	return err
}

func (p Plan) MarshalJSON() ([]byte, error) {
	return json.Marshal(planJSON{duration(p.Duration), p.Patterns})
}

func (p *Plan) UnmarshalJSON(b []byte) error {
	var j planJSON
	err := unmarshalStrict(b, &j)
	*p = Plan{Duration: time.Duration(j.Duration), Patterns: j.Patterns}
	return err
}

func (t Pattern) MarshalJSON() ([]byte, error) {
	return json.Marshal(patternJSON{t.Kind, t.Count, duration(t.After), duration(t.Over),
		duration(t.Hold), t.Parallel, t.Bytes, t.Close, t.Client})
}

func (t *Pattern) UnmarshalJSON(b []byte) error {
	var j patternJSON
	err := unmarshalStrict(b, &j)
	*t = Pattern{j.Kind, j.Count, time.Duration(j.After), time.Duration(j.Over),
		time.Duration(j.Hold), j.Parallel, j.Bytes, j.Close, j.Client}
	return err
}
