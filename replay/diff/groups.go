package diff

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/reporter"
)

// A groupKey is what the changes of one group have in common.
type groupKey struct {
	section Section
	kind    ChangeKind
	follows bool
	client  netip.Addr
	server  netip.AddrPort
	cause   string
}

// A group while it grows.
type group struct {
	Group
	pattern pattern
	things  map[uint64]struct{}
}

// take puts a change to its group.
func (c *Comparison) take(ch *change, tick uint64) {
	key := groupKey{section: ch.section, kind: ch.kind, follows: ch.follows}
	if !ch.follows {
		key.cause = ch.cause()
		if ch.own {
			key.client, key.server = ch.client, ch.server
		}
	}
	if c.groups == nil {
		c.groups = map[groupKey]*group{}
	}
	g := c.groups[key]
	if g == nil && len(c.groups) >= maxGroups {
		key.client, key.server, key.cause = netip.Addr{}, netip.AddrPort{}, ""
		g = c.groups[key]
	}
	if g == nil {
		g = &group{Group: Group{Section: ch.section, Change: ch.kind, Reversed: ch.reversed, Follows: ch.follows, FirstTick: tick,
			Fields: append([]Field{}, ch.fields...), Examples: []Example{}},
			pattern: patternOf(ch), things: map[uint64]struct{}{}}
		c.groups[key] = g
	}
	if g.LastTick != tick || g.Ticks == 0 {
		g.Ticks++
	}
	g.LastTick = tick
	g.pattern.widen(patternOf(ch))
	g.mergeFields(ch.fields)
	if _, known := g.things[ch.identity]; known {
		return
	}
	if c.things >= maxThings {
		c.d.LeftOut++
		return
	}
	c.things++
	g.things[ch.identity] = struct{}{}
	if len(g.Examples) < maxExamples && (ch.a != nil || ch.b != nil) {
		g.Examples = append(g.Examples, ch.example())
	}
}

func (ch *change) example() Example {
	e := Example{ID: ch.id}
	if ch.section == Connections {
		c := cmp.Or(ch.a, ch.b).(*reporter.Connection)
		if ch.as != nil {
			e.As = ch.as.AppendJSON(nil)
		}
		e.ID = c.From.Addr.String() + "->" + c.To.Addr.String()
	}
	if ch.a != nil {
		e.A = ch.a.AppendJSON(nil)
	}
	if ch.b != nil {
		e.B = ch.b.AppendJSON(nil)
	}
	return e
}

// cause is what a change has in common with others of the same cause: its
// gravest fields change the same way.
func (ch *change) cause() string {
	if ch.section == CoverageSection || ch.section == Head {
		return ch.id
	}
	rank := 2
	for i := range ch.fields {
		rank = min(rank, ch.fields[i].rank())
	}
	var b []byte
	for _, f := range ch.fields {
		if f.rank() == rank {
			b = append(append(append(append(b, f.Name...), ' '), f.How...), ';')
		}
	}
	return string(b)
}

// mergeFields keeps what the group's things have in common of each field.
func (g *group) mergeFields(fields []Field) {
	at := func(list []Field, name string) int {
		return slices.IndexFunc(list, func(f Field) bool { return f.Name == name })
	}
	for i := range g.Fields {
		old := &g.Fields[i]
		n := at(fields, old.Name)
		if n < 0 {
			old.Some = true
			continue
		}
		if f := &fields[n]; old.A != f.A || old.B != f.B {
			old.A, old.B = "", ""
		}
		if old.How != fields[n].How {
			old.How = "in several ways"
		}
	}
	for _, f := range fields {
		if at(g.Fields, f.Name) < 0 {
			f.Some = true
			g.Fields = append(g.Fields, f)
		}
	}
}

// A pattern is what the ends of a group's connections have in common.
type pattern struct {
	client, server netip.Addr // invalid: different ones
	port           int        // -1: different ones
	name           string
}

func patternOf(ch *change) pattern {
	return pattern{client: ch.client, server: ch.server.Addr(), port: int(ch.server.Port()), name: ch.id}
}

func (p *pattern) widen(o pattern) {
	if p.client != o.client {
		p.client = netip.Addr{}
	}
	if p.server != o.server {
		p.server = netip.Addr{}
	}
	if p.port != o.port {
		p.port = -1
	}
	if p.name != o.name {
		p.name = "*"
	}
}

// texts are the client and the server as far as they are known, * for all.
func (p *pattern) texts() (from, to string) {
	from = "*"
	if p.client.IsValid() {
		from = p.client.String()
	}
	switch {
	case p.server.IsValid() && p.port >= 0:
		to = netip.AddrPortFrom(p.server, uint16(p.port)).String()
	case p.server.IsValid():
		to = p.server.String()
	case p.port >= 0:
		to = "*:" + strconv.Itoa(p.port)
	default:
		to = "*"
	}
	return from, to
}

// finish brings the group up to date.
func (g *group) finish() *Group {
	g.Count = len(g.things)
	if g.From, g.To = "", g.pattern.name; g.Section == Connections {
		g.From, g.To = g.pattern.texts()
	}
	return &g.Group
}

// fewCauses is how many clients of a server, or servers of a client, get a
// line each.
const fewCauses = 7

// collapse makes one group of connections that only one side has, where more
// than a few have the same key.
func collapse(list []*group, key func(pattern) pattern) (out []*group) {
	type family struct {
		kind ChangeKind
		key  pattern
	}
	of := func(g *group) (family, bool) {
		f := family{g.Change, key(g.pattern)}
		return f, g.Section == Connections && g.Change != Changed && (f.key.client.IsValid() || f.key.server.IsValid())
	}
	size, first := map[family]int{}, map[family]*group{}
	for _, g := range list {
		if f, ok := of(g); ok {
			size[f]++
		}
	}
	for _, g := range list {
		f, ok := of(g)
		switch {
		case !ok || size[f] <= fewCauses:
			out = append(out, g)
		case first[f] == nil:
			first[f] = g.clone()
			out = append(out, first[f])
		default:
			first[f].merge(g)
		}
	}
	return out
}

func (g *group) clone() *group {
	c := *g
	c.things, c.Examples = maps.Clone(g.things), slices.Clone(g.Examples)
	return &c
}

func (g *group) merge(o *group) {
	g.pattern.widen(o.pattern)
	maps.Copy(g.things, o.things)
	for _, e := range o.Examples[:min(1, len(o.Examples))] {
		if len(g.Examples) < maxExamples {
			g.Examples = append(g.Examples, e)
		}
	}
	g.FirstTick, g.LastTick = min(g.FirstTick, o.FirstTick), max(g.LastTick, o.LastTick)
	g.Ticks = max(g.Ticks, o.Ticks)
}

// compareGroups puts first what tells most: edges, then what they are like,
// then the rest.
func compareGroups(a, b *Group) int {
	return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.FirstTick, b.FirstTick), cmp.Compare(b.Count, a.Count),
		strings.Compare(string(b.Change), string(a.Change)), strings.Compare(a.From, b.From), strings.Compare(a.To, b.To),
		slices.CompareFunc(a.Fields, b.Fields, func(x, y Field) int {
			return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.How, y.How))
		}),
		slices.CompareFunc(a.Examples, b.Examples, func(x, y Example) int { return strings.Compare(x.ID, y.ID) }))
}

func (g *Group) rank() int {
	rank := slices.Index([]Section{Ticks, Connections, Endpoints, NamesSection, CoverageSection, Head}, g.Section) * 4
	switch {
	case g.Follows:
		return rank + 3
	case g.Section != Connections || g.Change != Changed || g.Reversed:
		return rank
	case slices.ContainsFunc(g.Fields, func(f Field) bool { return f.rank() == 0 }):
		return rank
	case !slices.ContainsFunc(g.Fields, func(f Field) bool { return f.Name != "first_seen" && f.Name != "last_seen" }):
		return rank + 2
	}
	return rank + 1
}
