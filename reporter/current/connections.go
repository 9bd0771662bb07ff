package current

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/reporter/report"
	"github.com/topotape/topotape/reporter/source"
)

// A draft is a connection of the report before it is sorted, and what orders it further.
type draft struct {
	report.Connection
	head    *flow // the flow nearest to the client, nil if only rows show the connection
	swapped bool  // the client is the end that sends the flow's replies
}

// draftConnections returns the connections of chains, of events and of rows, and those that rows
// showed until they closed.
func draftConnections(chains []joined, shown []eventPair, rows []pair, closed []report.Connection, k *sockets, e *eventMatcher, ss *source.Sources) []draft {
	out := make([]draft, 0, len(chains)+len(shown)+len(rows)+len(closed))
	for i := range chains {
		c, swapped := chains[i].connection(k, e, ss)
		out = append(out, draft{c, chains[i].head(), swapped})
	}
	for i := range shown {
		out = append(out, draft{Connection: e.connection(&shown[i])})
	}
	for _, p := range rows {
		out = append(out, draft{Connection: k.connection(p)})
	}
	for _, c := range closed {
		out = append(out, draft{Connection: c})
	}
	return out
}

// inOrder returns the connections of drafts in the order of the report: by both ends, then as
// compareRest orders them. Equal ones keep their order. swapped has a value for each connection.
func inOrder(drafts []draft) (connections []report.Connection, swapped []bool) {
	type place struct {
		from, to netip.AddrPort
		draft    int
	}
	places := make([]place, len(drafts))
	for i := range drafts {
		places[i] = place{drafts[i].From.Addr, drafts[i].To.Addr, i}
	}
	slices.SortFunc(places, func(a, b place) int {
		if order := a.from.Compare(b.from); order != 0 {
			return order
		}
		if order := a.to.Compare(b.to); order != 0 {
			return order
		}
		return cmp.Or(drafts[a.draft].compareRest(&drafts[b.draft]), cmp.Compare(a.draft, b.draft))
	})
	connections, swapped = make([]report.Connection, len(drafts)), make([]bool, len(drafts))
	for i := range places {
		d := &drafts[places[i].draft]
		connections[i], swapped[i] = d.Connection, d.swapped
	}
	return connections, swapped
}

// compareRest orders connections between the same two ends.
func (d *draft) compareRest(e *draft) int {
	order := cmp.Or(cmp.Compare(d.From.Netns, e.From.Netns), cmp.Compare(d.To.Netns, e.To.Netns),
		cmp.Compare(d.FirstSeen, e.FirstSeen), cmp.Compare(d.LastSeen, e.LastSeen))
	if order != 0 {
		return order
	}
	var x, y flowKey // zero if only rows show the connection
	if d.head != nil {
		x = d.head.key
	}
	if e.head != nil {
		y = e.head.key
	}
	return cmp.Or(cmp.Compare(x.source, y.source), cmp.Compare(x.zone, y.zone), cmp.Compare(x.id, y.id))
}
