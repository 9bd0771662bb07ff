package diff

import (
	"cmp"
	"encoding/json"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/reporter/report"
)

// Maxima of a Difference.
const (
	maxExamples = 3         // of a group
	maxGroups   = 10_000    // further changes share one group for each section and kind
	maxThings   = 1_000_000 // of all groups
	maxCauses   = 7         // groups of added or removed connections with the same server, or client
)

// groups collects changes by their cause.
type groups struct {
	byKey   map[groupKey]*group
	things  int
	leftOut uint64 // changes beyond maxThings
}

// A groupKey is what all changes of a group have in common.
type groupKey struct {
	section Section
	kind    ChangeKind
	follows bool
	client  netip.Addr
	server  netip.AddrPort
	cause   string
}

// A group is a Group with what is needed to add changes.
type group struct {
	Group
	pattern pattern
	things  map[uint64]struct{} // identities
}

// add adds a change of a tick.
func (gs *groups) add(ch *change, tick uint64) {
	g := gs.groupOf(ch)
	g.addTick(tick)
	g.pattern.widen(patternOf(ch))
	g.mergeFields(ch.fields)
	if _, known := g.things[ch.identity]; known {
		return
	}
	if gs.things >= maxThings {
		gs.leftOut++
		return
	}
	gs.things++
	g.things[ch.identity] = struct{}{}
	if len(g.Examples) < maxExamples && (ch.a != nil || ch.b != nil) {
		g.Examples = append(g.Examples, ch.example())
	}
}

// groupOf returns the group of a change, a new one if there is none.
func (gs *groups) groupOf(ch *change) *group {
	general := groupKey{section: ch.section, kind: ch.kind, follows: ch.follows}
	key := general
	if !ch.follows {
		key.cause = ch.cause()
		if ch.perEnds {
			key.client, key.server = ch.client, ch.server
		}
	}
	if gs.byKey[key] == nil && len(gs.byKey) >= maxGroups {
		key = general
	}
	if g := gs.byKey[key]; g != nil {
		return g
	}
	if gs.byKey == nil {
		gs.byKey = map[groupKey]*group{}
	}
	g := &group{Group: Group{Section: ch.section, Change: ch.kind, Reversed: ch.reversed, Follows: ch.follows,
		Fields: append([]Field{}, ch.fields...), Examples: []Example{}}, pattern: patternOf(ch), things: map[uint64]struct{}{}}
	gs.byKey[key] = g
	return g
}

func (g *group) addTick(tick uint64) {
	if g.Ticks == 0 {
		g.FirstTick = tick
	}
	if g.Ticks == 0 || g.LastTick != tick {
		g.Ticks++
	}
	g.LastTick = tick
}

// example writes the change as an example.
func (ch *change) example() Example {
	canonical := func(t thing) json.RawMessage {
		if t == nil {
			return nil
		}
		return t.AppendJSON(nil)
	}
	id := ch.id
	if ch.section == Connections {
		c := cmp.Or(ch.a, ch.b).(*report.Connection)
		id = c.From.Addr.String() + "->" + c.To.Addr.String()
	}
	return Example{ID: id, A: canonical(ch.a), B: canonical(ch.b), As: canonical(ch.as)}
}

// cause is equal for changes with the same cause: their most important fields change
// in the same way.
func (ch *change) cause() string {
	if ch.section == Coverage || ch.section == Head {
		return ch.id
	}
	rank := leastImportant
	for i := range ch.fields {
		rank = min(rank, ch.fields[i].rank())
	}
	var b strings.Builder
	for i := range ch.fields {
		if f := &ch.fields[i]; f.rank() == rank {
			b.WriteString(f.Name + " " + f.How + ";")
		}
	}
	return b.String()
}

// mergeFields keeps of each field what all things of the group have in common.
func (g *group) mergeFields(fields []Field) {
	find := func(list []Field, name string) int {
		return slices.IndexFunc(list, func(f Field) bool { return f.Name == name })
	}
	for i := range g.Fields {
		common := &g.Fields[i]
		at := find(fields, common.Name)
		if at < 0 {
			common.Some = true
			continue
		}
		f := &fields[at]
		if common.A != f.A || common.B != f.B {
			common.A, common.B = "", ""
		}
		if common.How != f.How {
			common.How = "in several ways"
		}
	}
	for _, f := range fields {
		if find(g.Fields, f.Name) < 0 {
			f.Some = true
			g.Fields = append(g.Fields, f)
		}
	}
}

// A pattern is what the ends of a group's things have in common, each as text, * if
// they are different.
type pattern struct{ client, server, port, name string }

func patternOf(ch *change) pattern {
	return pattern{ch.client.String(), ch.server.Addr().String(), strconv.Itoa(int(ch.server.Port())), ch.id}
}

// widen drops what the other pattern does not have.
func (p *pattern) widen(o pattern) {
	common := func(a, b string) string {
		if a != b {
			return "*"
		}
		return a
	}
	*p = pattern{common(p.client, o.client), common(p.server, o.server), common(p.port, o.port), common(p.name, o.name)}
}

func (p *pattern) serverText() string {
	if p.port == "*" {
		return p.server
	}
	return net.JoinHostPort(p.server, p.port)
}

// sorted returns the groups in the order of their importance.
func (gs *groups) sorted() []Group {
	list := make([]*group, 0, len(gs.byKey))
	for _, g := range gs.byKey {
		g.summarize()
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *group) int { return compareGroups(&a.Group, &b.Group) })
	list = joinSimilar(list, func(g *group) (end string, known bool) { return g.pattern.serverText(), g.pattern.server != "*" })
	list = joinSimilar(list, func(g *group) (end string, known bool) { return g.pattern.client, g.pattern.client != "*" })
	out := make([]Group, 0, len(list))
	for _, g := range list {
		g.summarize()
		out = append(out, g.Group)
	}
	slices.SortStableFunc(out, func(a, b Group) int { return compareGroups(&a, &b) })
	return out
}

// summarize sets the fields that follow from the group's things and their pattern.
func (g *group) summarize() {
	g.Count = len(g.things)
	if g.Section == Connections {
		g.From, g.To = g.pattern.client, g.pattern.serverText()
	} else {
		g.To = g.pattern.name
	}
}

// joinSimilar makes one group of more than maxCauses groups of added or removed
// connections that have the same end: all clients of a server, or all servers of a
// client.
func joinSimilar(list []*group, endOf func(*group) (end string, known bool)) (out []*group) {
	type similar struct {
		kind ChangeKind
		end  string
	}
	keyOf := func(g *group) (key similar, joinable bool) {
		end, known := endOf(g)
		return similar{g.Change, end}, g.Section == Connections && g.Change != Changed && known
	}
	count, joined := map[similar]int{}, map[similar]*group{}
	for _, g := range list {
		if key, ok := keyOf(g); ok {
			count[key]++
		}
	}
	for _, g := range list {
		key, ok := keyOf(g)
		switch {
		case !ok || count[key] <= maxCauses:
			out = append(out, g)
		case joined[key] == nil:
			joined[key] = g.clone()
			out = append(out, joined[key])
		default:
			joined[key].join(g)
		}
	}
	return out
}

func (g *group) clone() *group {
	c := *g
	c.things, c.Examples = maps.Clone(g.things), slices.Clone(g.Examples)
	return &c
}

// join adds another group, of whose examples it adds the first.
func (g *group) join(o *group) {
	g.pattern.widen(o.pattern)
	maps.Copy(g.things, o.things)
	if len(o.Examples) > 0 && len(g.Examples) < maxExamples {
		g.Examples = append(g.Examples, o.Examples[0])
	}
	g.FirstTick, g.LastTick = min(g.FirstTick, o.FirstTick), max(g.LastTick, o.LastTick)
	g.Ticks = max(g.Ticks, o.Ticks)
}

// compareGroups orders groups by importance, then by tick and count. The rest makes
// the order unique.
func compareGroups(a, b *Group) int {
	return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.FirstTick, b.FirstTick), cmp.Compare(b.Count, a.Count),
		strings.Compare(string(b.Change), string(a.Change)), strings.Compare(a.From, b.From), strings.Compare(a.To, b.To),
		slices.CompareFunc(a.Fields, b.Fields, func(x, y Field) int {
			return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.How, y.How))
		}),
		slices.CompareFunc(a.Examples, b.Examples, func(x, y Example) int { return strings.Compare(x.ID, y.ID) }))
}

// rank is smaller for what matters more: within a section first other edges, then
// other properties of the same edges, then other times.
func (g *Group) rank() int {
	rank := slices.Index([]Section{Ticks, Connections, Attempts, Endpoints, Names, Coverage, Head}, g.Section) * 4
	hasOtherEnds := func(f Field) bool { return f.rank() == mostImportant }
	isNoTime := func(f Field) bool { return !f.isTime() }
	switch {
	case g.Follows:
		return rank + 3
	case g.Section != Connections || g.Change != Changed || g.Reversed || slices.ContainsFunc(g.Fields, hasOtherEnds):
		return rank
	case slices.ContainsFunc(g.Fields, isNoTime):
		return rank + 1
	}
	return rank + 2
}
