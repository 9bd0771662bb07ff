package diff

import (
	"encoding/json"
	"time"

	"github.com/topotape/topotape/reporter/report"
)

// A Difference is the result of a comparison of two runs of reports, A and B. It has
// one Group for each cause. Its size does not depend on the number of ticks.
type Difference struct {
	// Whole: each run was folded into one report, and these two were compared.
	Whole  bool    `json:"whole"`
	Ticks  int     `json:"ticks_compared"`  // that both runs have; 1 for Whole
	Differ int     `json:"ticks_different"` // how many of Ticks
	Equal  *Moment `json:"last_equal"`      // the last tick before First, nil if First is the first of all
	First  *Moment `json:"first_different"` // nil if no tick differs
	// The first tick that shows a different connection, and the last one before it.
	EqualConnections *Moment `json:"last_equal_connections"`
	FirstConnections *Moment `json:"first_different_connections"`
	Leads            []Lead  `json:"first_records"` // filled in by the caller
	Groups           []Group `json:"groups"`        // the most important first
	LeftOut          uint64  `json:"left_out"`      // changes that no group counts

	reports [2]*report.Report // of Whole
}

// A Moment is a tick of both runs.
type Moment struct {
	Tick    uint64 `json:"tick"` // its number in A
	At      Wall   `json:"at"`
	RecordA uint64 `json:"record_a"` // number of the tick's record in A, 0 unknown
	RecordB uint64 `json:"record_b"`
}

// Wall is a wall-clock time in Unix ns.
type Wall int64

// String returns the time as RFC 3339.
func (w Wall) String() string { return time.Unix(0, int64(w)).UTC().Format(time.RFC3339Nano) }

// MarshalText returns the time as RFC 3339.
func (w Wall) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// A Lead is a record that may have caused a difference.
type Lead struct {
	Side   string `json:"side"`   // a, b, or both if they replay the same tape
	Record uint64 `json:"record"` // number
	At     string `json:"at"`     // since the recording's start
	Text   string `json:"text"`   // the record, as cat writes it
	Why    string `json:"why"`    // concerns: it has an address of a connection that differs; differs: the other side has another record
}

// Same reports whether nothing differs.
func (d *Difference) Same() bool { return len(d.Groups) == 0 }

// A Section is a part of a report.
type Section string

const (
	Connections Section = "connections"
	Endpoints   Section = "endpoints"
	Names       Section = "names"
	Attempts    Section = "attempts"
	Coverage    Section = "coverage"
	Head        Section = "head"  // the fields before a report's lists
	Ticks       Section = "ticks" // whole reports
)

// A ChangeKind says which side has a thing.
type ChangeKind string

const (
	Added   ChangeKind = "added"   // only B has it
	Removed ChangeKind = "removed" // only A has it
	Changed ChangeKind = "changed" // both have it, with different fields
)

// A Group is a set of changes with the same cause.
type Group struct {
	Section  Section    `json:"section"`
	Change   ChangeKind `json:"change"`
	Reversed bool       `json:"reversed"` // connections whose client in A is the server in B
	Count    int        `json:"count"`    // of things: connections, endpoints, ...
	// Follows: these endpoints and names belong to connections that differ.
	Follows bool    `json:"follows"`
	From    string  `json:"from"` // of connections: what all clients have in common, * if nothing
	To      string  `json:"to"`   // the same of the servers; of other things: their common name
	Fields  []Field `json:"fields"`
	// The ticks in which the group occurs.
	FirstTick uint64    `json:"first_tick"`
	LastTick  uint64    `json:"last_tick"`
	Ticks     int       `json:"ticks"`
	Examples  []Example `json:"examples"` // at most 3
}

// An Example is one thing of a group, as canonical JSON on either side; null where a
// side lacks it.
type Example struct {
	ID string          `json:"id"`
	A  json.RawMessage `json:"a"`
	B  json.RawMessage `json:"b"`
	// As is set for a connection that one side lacks: the other side's connection that
	// has the same addresses before or after NAT, or reversed.
	As json.RawMessage `json:"as"`
}
