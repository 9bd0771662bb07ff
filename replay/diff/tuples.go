package diff

import (
	"maps"
	"slices"

	"github.com/topotape/topotape/reporter/report"
)

// A tuple is a connection under the ends that it has at one place along its path:
// its own, or those before or after a translation.
type tuple struct {
	at       int  // index of the connection in its list
	reversed bool // the smaller end is the server
}

// tuplesByEnds returns the tuples of connections by their ends, the smaller one first.
// Connections are in the order of their list, each once.
func tuplesByEnds(list []*report.Connection) map[ends][]tuple {
	m := make(map[ends][]tuple, len(list))
	for at, c := range list {
		add := func(e ends) {
			key := e.ordered()
			t := tuple{at, key != e}
			if last := len(m[key]) - 1; last < 0 || m[key][last].at != at {
				m[key] = append(m[key], t)
			} else if !t.reversed {
				m[key][last] = t
			}
		}
		add(endsOf(c))
		for i := range c.NAT {
			n := &c.NAT[i]
			add(ends{c.Proto, n.OriginalSrc, n.OriginalDst})
			add(ends{c.Proto, n.ReplyDst, n.ReplySrc})
		}
	}
	return m
}

// translatedEnds pairs connections that have a tuple in common: one side shows the
// ends before NAT, the other one after it.
func (p *pairs) translatedEnds(a, b []*report.Connection) (restA, restB []*report.Connection) {
	if len(a) == 0 || len(b) == 0 {
		return a, b
	}
	pairedA, pairedB := make([]bool, len(a)), make([]bool, len(b))
	ofA, ofB := tuplesByEnds(a), tuplesByEnds(b)
	for _, key := range slices.SortedFunc(maps.Keys(ofA), ends.compare) {
		isPairedA := func(t tuple) bool { return pairedA[t.at] }
		isPairedB := func(t tuple) bool { return pairedB[t.at] }
		left, right := slices.DeleteFunc(ofA[key], isPairedA), slices.DeleteFunc(ofB[key], isPairedB)
		for i := range min(len(left), len(right)) {
			x, y := left[i], right[i]
			p.add(a[x.at], b[y.at], x.reversed != y.reversed)
			pairedA[x.at], pairedB[y.at] = true, true
		}
	}
	return without(a, pairedA), without(b, pairedB)
}

// sameTuples returns, for each connection, the first one of the other side that has a
// tuple of the same ends, nil if there is none. Loopback is left out: it has the same
// addresses in every namespace.
func sameTuples(list []*report.Connection, other []report.Connection) []*report.Connection {
	found := make([]*report.Connection, len(list))
	if len(list) == 0 {
		return found
	}
	notLoopback := slices.DeleteFunc(pointers(other), func(c *report.Connection) bool { return c.From.Addr.Addr().IsLoopback() })
	tuples := tuplesByEnds(notLoopback)
	for i, c := range list {
		if t := tuples[endsOf(c).ordered()]; len(t) > 0 {
			found[i] = notLoopback[t[0].at]
		}
	}
	return found
}
