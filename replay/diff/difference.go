package diff

import (
	"cmp"
	"encoding/json"
	"iter"
	"slices"
	"time"

	"github.com/topotape/topotape/replay/fold"
	"github.com/topotape/topotape/reporter"
)

// A Difference is what differs between two runs of reports, A and B: one Group
// a cause. Nothing in it grows with the length of the runs.
type Difference struct {
	// Whole says that each run was folded into one report, and these compared.
	Whole  bool    `json:"whole"`
	Ticks  int     `json:"ticks_compared"`  // that both have; 1 for Whole
	Differ int     `json:"ticks_different"` // of them
	Equal  *Moment `json:"last_equal"`      // the last tick before First, nil if none is equal
	First  *Moment `json:"first_different"` // the first tick that differs, nil if none does
	// The first tick that shows another connection, and the last one
	// before it that does not.
	EqualConnections *Moment `json:"last_equal_connections"`
	FirstConnections *Moment `json:"first_different_connections"`
	Leads            []Lead  `json:"first_records"` // records that the two part at
	Groups           []Group `json:"groups"`        // the gravest first
	LeftOut          uint64  `json:"left_out"`      // differences of things beyond those that Groups count

	reports [2]*reporter.Report // of Whole
}

// A Moment is a tick of the reports.
type Moment struct {
	Tick    uint64 `json:"tick"`
	At      Wall   `json:"at"`
	RecordA uint64 `json:"record_a"` // number of the tick's record, 0 unknown
	RecordB uint64 `json:"record_b"`
}

// Wall is a wall-clock time, Unix ns; RFC 3339 as text.
type Wall int64

// String is the time in RFC 3339.
func (w Wall) String() string { return time.Unix(0, int64(w)).UTC().Format(time.RFC3339Nano) }

// MarshalText gives the time in RFC 3339.
func (w Wall) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// A Lead is a record that leads to what differs.
type Lead struct {
	Side   string `json:"side"`   // a, b, or both for the records of one tape
	Record uint64 `json:"record"` // number
	At     string `json:"at"`     // since the recording's start
	Text   string `json:"text"`   // the record, for people
	Why    string `json:"why"`    // concerns: it is of what differs; differs: the other side has another
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
	// As is, of a connection that one side lacks, the other side's of which it is a
	// view: through NAT, or turned round.
	As json.RawMessage `json:"as"`
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
	Selectors []*fold.Selector
	// Apart says that the sides are different recordings, or follow different
	// rules: times and counts are not compared.
	Apart bool

	d      Difference
	groups map[groupKey]*group
	equal  *Moment
	plain  *Moment // the last tick whose connections are equal
	things int
	// numbers of the records of the ticks that Add compares, 0 unknown
	recordA, recordB uint64
	OtherRules       bool // was asked for, and is no difference
	Untimed          bool // times are not compared, counts are
}

// Compare says what differs between two reports.
func Compare(a, b *reporter.Report) *Difference {
	var c Comparison
	c.Add(a, b)
	return c.Difference()
}

// A Numbered is a report, and the number of its tick's record, 0 if that is unknown.
type Numbered struct {
	Report *reporter.Report
	Record uint64
}

// CompareAll compares two runs of reports tick by tick. Reports of the same time
// belong to the same tick. Both runs are in the order of time.
func (c *Comparison) CompareAll(a, b iter.Seq2[Numbered, error]) (*Difference, error) {
	nextA, stopA := iter.Pull2(a)
	defer stopA()
	nextB, stopB := iter.Pull2(b)
	defer stopB()
	x, errA, _ := nextA()
	y, errB, _ := nextB()
	for errA == nil && errB == nil && (x.Report != nil || y.Report != nil) {
		ofA, ofB := x, y
		switch {
		case y.Report == nil || x.Report != nil && x.Report.At < y.Report.At:
			ofB = Numbered{}
		case x.Report == nil || y.Report.At < x.Report.At:
			ofA = Numbered{}
		}
		c.recordA, c.recordB = ofA.Record, ofB.Record
		c.Add(ofA.Report, ofB.Report)
		if ofA.Report != nil {
			x, errA, _ = nextA()
		}
		if ofB.Report != nil {
			y, errB, _ = nextB()
		}
	}
	if err := cmp.Or(errA, errB); err != nil {
		return nil, err
	}
	return c.Difference(), nil
}

// CompareWhole compares two runs of one report each.
func (c *Comparison) CompareWhole(a, b iter.Seq2[Numbered, error]) (*Difference, error) {
	var reports [2]*reporter.Report
	for i, run := range []iter.Seq2[Numbered, error]{a, b} {
		for n, err := range run {
			if err != nil {
				return nil, err
			}
			reports[i] = n.Report
		}
	}
	c.Add(reports[0], reports[1])
	d := c.Difference()
	d.Whole, d.First, d.FirstConnections, d.reports = true, nil, nil, reports
	return d, nil
}

// Add compares the reports of one tick; nil is a side that has none.
func (c *Comparison) Add(a, b *reporter.Report) {
	at := cmp.Or(a, b)
	if at == nil {
		return
	}
	now := Moment{Tick: at.Tick, At: Wall(at.At), RecordA: c.recordA, RecordB: c.recordB}
	var list []change
	switch {
	case b == nil:
		list = []change{{section: Ticks, kind: Removed, identity: at.Tick}}
	case a == nil:
		list = []change{{section: Ticks, kind: Added, identity: at.Tick}}
	default:
		c.d.Ticks++
		list = (&comparer{selectors: c.Selectors, times: !c.Apart && !c.Untimed, counts: !c.Apart, rules: !c.OtherRules}).compare(a, b)
		if c.d.FirstConnections == nil && slices.ContainsFunc(list, func(ch change) bool { return ch.section == Connections }) {
			c.d.FirstConnections, c.d.EqualConnections = &now, c.plain
		}
		c.plain = &now
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

// Difference is what was found so far.
func (c *Comparison) Difference() *Difference {
	d := c.d
	d.Groups = []Group{}
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
