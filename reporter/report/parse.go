package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// ParseReport reads one report from the canonical JSON that AppendJSON writes; a final
// newline may follow. Other JSON is an error, even if it has the same meaning. The error
// gives the offset of the first wrong byte, counted from 0.
func ParseReport(line []byte) (*Report, error) {
	r := new(Report)
	var wire reportJSON
	err := parse(bytes.TrimSuffix(line, []byte{'\n'}), &wire, func(b []byte) []byte {
		*r = wire.report()
		return r.AppendJSON(b)
	})
	if err != nil {
		return nil, fmt.Errorf("report: %w; want a line that replay --all --format ndjson prints", err)
	}
	return r, nil
}

// ParseConnection reads one connection from its canonical JSON, as strictly as
// ParseReport reads a report.
func ParseConnection(text []byte) (*Connection, error) {
	c := new(Connection)
	var wire connectionJSON
	err := parse(text, &wire, func(b []byte) []byte {
		*c = wire.connection()
		return c.AppendJSON(b)
	})
	if err != nil {
		return nil, fmt.Errorf("connection: %w", err)
	}
	return c, nil
}

// parse decodes text into wire. Then write appends the canonical JSON of the decoded
// values, and parse compares it with text. A value that does not decode is zero or
// missing there, so the first difference is also the place of a decoding error: most
// of these errors have no offset.
func parse(text []byte, wire any, write func([]byte) []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(wire)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("byte %d: %w", syntax.Offset-1, err)
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return fmt.Errorf("byte %d: %w", len(text), io.ErrUnexpectedEOF)
	}
	again := write(make([]byte, 0, len(text)))
	at := 0
	for at < len(text) && at < len(again) && text[at] == again[at] {
		at++
	}
	switch {
	case err != nil:
		return fmt.Errorf("byte %d: %.24q: %w", at, text[at:], err)
	case at < len(again):
		return fmt.Errorf("byte %d: %.24q, in canonical JSON %.24q", at, text[at:], again[at:])
	case at < len(text):
		return fmt.Errorf("byte %d: %.24q after the end", at, text[at:])
	}
	return nil
}

// The types below mirror the JSON. Coverage, Process and Names are decoded as
// they are, because their fields have the names of the JSON.
type (
	reportJSON struct {
		Host struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"host"`
		Tick        uint64           `json:"tick"`
		At          time.Time        `json:"at"`
		Window      durationJSON     `json:"window"`
		Rules       string           `json:"rules"`
		Coverage    []Coverage       `json:"coverage"`
		Connections []connectionJSON `json:"connections"`
		Endpoints   []endpointJSON   `json:"endpoints"`
		Names       []Names          `json:"names"`
		Attempts    []attemptJSON    `json:"attempts"`
		HostEvents  []hostEventJSON  `json:"host_events"`
	}

	hostEventJSON struct {
		At    time.Time `json:"at"`
		What  string    `json:"what"`
		Count uint64    `json:"count"`
	}

	connectionJSON struct {
		Proto         string       `json:"proto"`
		From          endJSON      `json:"from"`
		To            endJSON      `json:"to"`
		State         string       `json:"state"`
		Direction     Direction    `json:"direction"`
		NAT           []natJSON    `json:"nat"`
		FirstSeen     durationJSON `json:"first_seen"`
		LastSeen      durationJSON `json:"last_seen"`
		Closed        bool         `json:"closed"`
		Seen          []string     `json:"seen"`
		Zone          uint16       `json:"zone"`
		Connect       durationJSON `json:"connect"`
		MayHaveClosed bool         `json:"may_have_closed"`
	}

	attemptJSON struct {
		Proto     string       `json:"proto"`
		From      clientJSON   `json:"from"`
		To        endJSON      `json:"to"`
		NAT       []natJSON    `json:"nat"`
		Outcome   Outcome      `json:"outcome"`
		Why       string       `json:"why"`
		Count     uint64       `json:"count"`
		FirstSeen durationJSON `json:"first_seen"`
		LastSeen  durationJSON `json:"last_seen"`
		Seen      []string     `json:"seen"`
		Earlier   uint64       `json:"earlier"`
	}

	clientJSON struct { // of attempts
		Addr      netip.Addr `json:"addr"`
		Netns     uint64     `json:"netns"`
		Processes []Process  `json:"processes"`
	}

	endJSON struct {
		Addr      netip.Addr `json:"addr"`
		Port      uint16     `json:"port"`
		Netns     uint64     `json:"netns"`
		Processes []Process  `json:"processes"`
	}

	natJSON struct {
		Original tupleJSON `json:"original"`
		Reply    tupleJSON `json:"reply"`
		Zone     uint16    `json:"zone"`
	}

	tupleJSON struct {
		Src netip.AddrPort `json:"src"`
		Dst netip.AddrPort `json:"dst"`
	}

	endpointJSON struct {
		ID        string           `json:"id"`
		Addr      netip.Addr       `json:"addr"`
		Port      uint16           `json:"port"`
		Aliases   []netip.AddrPort `json:"aliases"`
		Processes []Process        `json:"processes"`
	}

	durationJSON int64 // ns, as time.Duration writes it
)

func (d *durationJSON) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = durationJSON(v)
	return err
}

func (r *reportJSON) report() Report {
	return Report{HostID: r.Host.ID, HostName: r.Host.Name, Tick: r.Tick, At: r.At.UnixNano(), Window: int64(r.Window),
		Rules: r.Rules, Coverage: r.Coverage, Connections: converted(r.Connections, (*connectionJSON).connection),
		Endpoints: converted(r.Endpoints, (*endpointJSON).endpoint), Names: r.Names,
		Attempts: converted(r.Attempts, (*attemptJSON).attempt), HostEvents: converted(r.HostEvents, (*hostEventJSON).event)}
}

func (e *hostEventJSON) event() HostEvent {
	return HostEvent{At: e.At.UnixNano(), What: e.What, Count: e.Count}
}

func (c *connectionJSON) connection() Connection {
	return Connection{Proto: c.Proto, From: c.From.end(), To: c.To.end(), State: c.State, Direction: c.Direction,
		NAT: converted(c.NAT, (*natJSON).nat), FirstSeen: int64(c.FirstSeen), LastSeen: int64(c.LastSeen),
		Closed: c.Closed, Seen: c.Seen, Zone: c.Zone, Connect: int64(c.Connect), MayHaveClosed: c.MayHaveClosed}
}

func (a *attemptJSON) attempt() Attempt {
	from := End{Addr: netip.AddrPortFrom(a.From.Addr, 0), Netns: a.From.Netns, Processes: a.From.Processes}
	return Attempt{Proto: a.Proto, From: from, To: a.To.end(), NAT: converted(a.NAT, (*natJSON).nat), Outcome: a.Outcome, Why: a.Why,
		Count: a.Count, Earlier: a.Earlier, FirstSeen: int64(a.FirstSeen), LastSeen: int64(a.LastSeen), Seen: a.Seen}
}

func (e *endJSON) end() End {
	return End{Addr: netip.AddrPortFrom(e.Addr, e.Port), Netns: e.Netns, Processes: e.Processes}
}

func (n *natJSON) nat() NAT {
	return NAT{OriginalSrc: n.Original.Src, OriginalDst: n.Original.Dst, ReplySrc: n.Reply.Src, ReplyDst: n.Reply.Dst, Zone: n.Zone}
}

// endpoint cuts the scope from the id. If an id does not end in the address and port, the
// whole id becomes the scope, so that AppendJSON writes a different id.
func (e *endpointJSON) endpoint() Endpoint {
	out := Endpoint{Addr: netip.AddrPortFrom(e.Addr, e.Port), Aliases: e.Aliases, Processes: e.Processes}
	out.Scope = strings.TrimSuffix(e.ID, out.ID())
	return out
}

func converted[W, T any](list []W, one func(*W) T) []T {
	out := make([]T, len(list))
	for i := range list {
		out[i] = one(&list[i])
	}
	return out
}
