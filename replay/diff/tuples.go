package diff

import (
	"cmp"
	"slices"

	"github.com/topotape/topotape/reporter/report"
)

// A tuple is a connection under the ends that it has at one place along its path:
// its own, or those before or after a translation.
type tuple struct {
	ends     ends // the smaller one first
	reversed bool // the smaller one is the server
	ofB      bool
	at       int // index of the connection in the list of its side
}

// appendTuples appends the tuples of a connection.
func appendTuples(list []tuple, c *report.Connection, ofB bool, at int) []tuple {
	add := func(e ends) {
		o := e.ordered()
		list = append(list, tuple{ends: o, reversed: o != e, ofB: ofB, at: at})
	}
	add(endsOf(c))
	for i := range c.NAT {
		n := &c.NAT[i]
		add(ends{c.Proto, n.OriginalSrc, n.OriginalDst})
		add(ends{c.Proto, n.ReplyDst, n.ReplySrc})
	}
	return list
}

// connectionsByTuple returns the first connection of each tuple. Loopback is left
// out: it has the same addresses in every namespace.
func connectionsByTuple(list []report.Connection) map[ends]*report.Connection {
	m := make(map[ends]*report.Connection, len(list))
	var tuples []tuple
	for i := range list {
		if list[i].From.Addr.Addr().IsLoopback() {
			continue
		}
		tuples = appendTuples(tuples[:0], &list[i], false, i)
		for _, t := range tuples {
			if m[t.ends] == nil {
				m[t.ends] = &list[i]
			}
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
	for tuples := sortedTuples(a, b); len(tuples) > 0; {
		n := 1
		for n < len(tuples) && tuples[n].ends == tuples[0].ends {
			n++
		}
		ofA, ofB := candidates(tuples[:n], false, pairedA), candidates(tuples[:n], true, pairedB)
		for i := range min(len(ofA), len(ofB)) {
			x, y := ofA[i], ofB[i]
			p.add(a[x.at], b[y.at], x.reversed != y.reversed)
			pairedA[x.at], pairedB[y.at] = true, true
		}
		tuples = tuples[n:]
	}
	return without(a, pairedA), without(b, pairedB)
}

// sortedTuples returns the tuples of both sides by their ends, each in the order of
// its list.
func sortedTuples(a, b []*report.Connection) (list []tuple) {
	for i, c := range a {
		list = appendTuples(list, c, false, i)
	}
	for i, c := range b {
		list = appendTuples(list, c, true, i)
	}
	slices.SortFunc(list, func(x, y tuple) int {
		return cmp.Or(x.ends.compare(y.ends), cmp.Compare(x.at, y.at), compareBool(x.reversed, y.reversed))
	})
	return list
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// candidates returns the tuples of one side whose connection is not paired, one for
// each connection.
func candidates(list []tuple, ofB bool, paired []bool) (out []tuple) {
	for _, t := range list {
		if t.ofB == ofB && !paired[t.at] && (len(out) == 0 || out[len(out)-1].at != t.at) {
			out = append(out, t)
		}
	}
	return out
}
