package replay

import (
	"cmp"
	"encoding/json"
	"hash/fnv"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/topotape/topotape/reporter"
)

// A Difference is what differs between two runs of reports, A and B: one Group
// a cause. Nothing in it grows with the length of the runs.
type Difference struct {
	Ticks   int     // that both have, and were compared
	Differ  int     // of them
	Equal   *Moment // the last tick before First that is equal, nil if none is
	First   *Moment // the first tick that differs, nil if none does
	Groups  []Group // the gravest first
	LeftOut uint64  // things beyond those that are counted; Groups count at least what they say
}

// A Moment is a tick of the reports.
type Moment struct {
	Tick uint64 `json:"tick"`
	At   int64  `json:"-"` // Unix ns
}

// Same reports whether nothing differs.
func (d *Difference) Same() bool { return len(d.Groups) == 0 }

// Section is a part of a report.
type Section string

const (
	Connections     Section = "connections"
	Endpoints       Section = "endpoints"
	NamesSection    Section = "names"
	CoverageSection Section = "coverage"
	Head            Section = "head"  // what stands before a report's lists
	Ticks           Section = "ticks" // whole reports
)

// ChangeKind says which side has a thing.
type ChangeKind string

const (
	Added   ChangeKind = "added"   // only B has it
	Removed ChangeKind = "removed" // only A has it
	Changed ChangeKind = "changed" // both have it, and it differs
)

// A Group is what one cause makes differ.
type Group struct {
	Section  Section    `json:"section"`
	Change   ChangeKind `json:"change"`
	Reversed bool       `json:"reversed"` // connections whose client and server changed places
	Count    int        `json:"count"`    // of things
	// Follows: these are endpoints and names of connections that differ.
	Follows bool    `json:"follows"`
	From    string  `json:"from"` // of connections: the client, as far as all have it in common
	To      string  `json:"to"`   // the server; of other things: what they are called
	Fields  []Field `json:"fields"`
	// The ticks that show it.
	FirstTick uint64    `json:"first_tick"`
	LastTick  uint64    `json:"last_tick"`
	Ticks     int       `json:"ticks"`
	Examples  []Example `json:"examples"` // at most 3
}

// An Example of a group, as canonical JSON; null where a side lacks it.
type Example struct {
	ID string          `json:"id"`
	A  json.RawMessage `json:"a"`
	B  json.RawMessage `json:"b"`
}

// Bounds of a Difference.
const (
	maxExamples = 3
	maxGroups   = 10_000    // what is beyond shares a group for each section and kind
	maxThings   = 1_000_000 // told apart
)

// A Comparison collects what differs, tick by tick. The zero value compares
// everything.
type Comparison struct {
	// Selectors leave only connections that one of them matches on either side,
	// and what follows from these.
	Selectors []*Selector
	// Apart says that the sides are different recordings: times and counts since
	// their starts are not compared.
	Apart bool

	d      Difference
	groups map[groupKey]*group
	equal  *Moment
	things int
}

type groupKey struct {
	section Section
	kind    ChangeKind
	follows bool
	cause   string
}

// A group while it grows.
type group struct {
	Group
	pattern pattern
	things  map[uint64]struct{}
	tick    int // the last one, counted, that shows it
}

// Compare says what differs between two reports.
func Compare(a, b *reporter.Report) *Difference {
	var c Comparison
	c.Add(a, b)
	return c.Difference()
}

// CompareAll compares two runs of reports tick by tick. Reports of the same time are of the same
// tick; both runs must be in the order of time.
func (c *Comparison) CompareAll(a, b iter.Seq2[*reporter.Report, error]) (*Difference, error) {
	nextA, stopA := iter.Pull2(a)
	defer stopA()
	nextB, stopB := iter.Pull2(b)
	defer stopB()
	pull := func(next func() (*reporter.Report, error, bool)) (*reporter.Report, error) {
		r, err, ok := next()
		if !ok {
			return nil, nil
		}
		return r, err
	}
	x, err := pull(nextA)
	if err != nil {
		return nil, err
	}
	y, err := pull(nextB)
	for err == nil && (x != nil || y != nil) {
		switch {
		case y == nil || x != nil && x.At < y.At:
			c.Add(x, nil)
			x, err = pull(nextA)
		case x == nil || y.At < x.At:
			c.Add(nil, y)
			y, err = pull(nextB)
		default:
			c.Add(x, y)
			if x, err = pull(nextA); err == nil {
				y, err = pull(nextB)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return c.Difference(), nil
}

// Add compares the reports of one tick; nil is a side that has none.
func (c *Comparison) Add(a, b *reporter.Report) {
	at := cmp.Or(a, b)
	if at == nil {
		return
	}
	now := Moment{Tick: at.Tick, At: at.At}
	var list []change
	switch {
	case b == nil:
		list = []change{{section: Ticks, kind: Removed, number: at.Tick}}
	case a == nil:
		list = []change{{section: Ticks, kind: Added, number: at.Tick}}
	default:
		c.d.Ticks++
		list = (&comparer{selectors: c.Selectors, times: !c.Apart}).compare(a, b)
		if len(list) == 0 {
			if c.d.First == nil {
				c.equal = &now
			}
			return
		}
		c.d.Differ++
		if c.d.First == nil {
			c.d.First, c.d.Equal = &now, c.equal
		}
	}
	for i := range list {
		c.take(&list[i], now.Tick)
	}
}

// take puts a change to its group.
func (c *Comparison) take(ch *change, tick uint64) {
	key := groupKey{section: ch.section, kind: ch.kind, follows: ch.follows}
	if !ch.follows {
		key.cause = ch.cause()
	}
	if c.groups == nil {
		c.groups = map[groupKey]*group{}
	}
	g := c.groups[key]
	if g == nil && len(c.groups) >= maxGroups {
		key.cause = ""
		g = c.groups[key]
	}
	if g == nil {
		g = &group{Group: Group{Section: ch.section, Change: ch.kind, Reversed: ch.reversed, Follows: ch.follows, FirstTick: tick, Fields: slices.Clone(ch.fields)},
			pattern: patternOf(ch), things: map[uint64]struct{}{}}
		c.groups[key] = g
	}
	if g.LastTick != tick || g.Ticks == 0 {
		g.Ticks++
	}
	g.LastTick = tick
	g.pattern.widen(patternOf(ch))
	g.mergeFields(ch.fields)
	id := ch.hash()
	if _, known := g.things[id]; known {
		return
	}
	if c.things >= maxThings {
		c.d.LeftOut++
		return
	}
	c.things++
	g.things[id] = struct{}{}
	if len(g.Examples) < maxExamples && (ch.a != nil || ch.b != nil) {
		g.Examples = append(g.Examples, ch.example())
	}
}

func (ch *change) example() Example {
	e := Example{ID: ch.id}
	if ch.a != nil {
		e.A = ch.a.AppendJSON(nil)
	}
	if ch.b != nil {
		e.B = ch.b.AppendJSON(nil)
	}
	return e
}

// cause is what a change has in common with others of the same cause.
func (ch *change) cause() string {
	var b strings.Builder
	if ch.own || ch.section == CoverageSection {
		b.WriteString(ch.client.String())
		b.WriteByte('>')
		b.WriteString(ch.server.String())
		if ch.section == CoverageSection {
			b.WriteString(ch.id)
		}
	}
	for _, f := range ch.fields {
		b.WriteByte(';')
		b.WriteString(f.Name)
		b.WriteByte(' ')
		b.WriteString(f.How)
	}
	return b.String()
}

// hash tells the thing from the others of its group.
func (ch *change) hash() uint64 {
	h := fnv.New64a()
	h.Write([]byte(ch.id))
	return h.Sum64() ^ ch.number*0x9e3779b97f4a7c15
}

// mergeFields keeps the values that all have.
func (g *group) mergeFields(fields []Field) {
	if len(fields) != len(g.Fields) { // of several causes
		g.Fields = nil
		return
	}
	for i := range fields {
		if f := &g.Fields[i]; f.A != fields[i].A || f.B != fields[i].B {
			f.A, f.B = "", ""
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

// Difference is what was found so far.
func (c *Comparison) Difference() *Difference {
	d := c.d
	var list []*group
	for _, g := range c.groups {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *group) int { return compareGroups(a.finish(), b.finish()) })
	list = collapse(list, func(p pattern) pattern { return pattern{server: p.server, port: p.port} })
	list = collapse(list, func(p pattern) pattern { return pattern{client: p.client} })
	for _, g := range list {
		d.Groups = append(d.Groups, *g.finish())
	}
	slices.SortStableFunc(d.Groups, func(a, b Group) int { return compareGroups(&a, &b) })
	return &d
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
const fewCauses = 3

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
	case slices.ContainsFunc(g.Fields, func(f Field) bool { return f.Name == "from" || f.Name == "to" }):
		return rank
	case !slices.ContainsFunc(g.Fields, func(f Field) bool { return f.Name != "first_seen" && f.Name != "last_seen" }):
		return rank + 2
	}
	return rank + 1
}
