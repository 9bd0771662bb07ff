package scope2016

import (
	"slices"

	"github.com/topotape/topotape/reporter/report"
)

// An indexSet is a set of indexes, of nodes or of namedAddrs. Several nodes share one
// set until one of them adds to it. A nil set is empty.
type indexSet struct {
	list   []int        // in the order in which they were added
	lookup map[int]bool // the same, once the list is long
	shared bool         // addIndex must copy the set first

	ids   []string          // of the nodes; made when the view needs them
	names []report.ScopeSet // of the namedAddrs; likewise
}

// addAll adds the elements of a set to another one, except the first done elements. It
// returns how many elements the first set has.
func addAll(to **indexSet, from *indexSet, done int) int {
	if from == nil {
		return 0
	}
	if *to == nil {
		*to, from.shared = from, true
	}
	if *to != from {
		for _, x := range from.list[done:] {
			addIndex(to, x)
		}
	}
	return len(from.list)
}

// addIndex adds an index, to a copy of the set if others share it.
func addIndex(to **indexSet, x int) {
	s := *to
	if s.contains(x) {
		return
	}
	if s.shared {
		s = &indexSet{list: slices.Clone(s.list)}
		*to = s
	}
	s.list = append(s.list, x)
	if s.lookup != nil {
		s.lookup[x] = true
	}
}

func (s *indexSet) contains(x int) bool {
	const short = 16
	if len(s.list) <= short {
		return slices.Contains(s.list, x)
	}
	if s.lookup == nil {
		s.lookup = make(map[int]bool, 2*len(s.list))
		for _, y := range s.list {
			s.lookup[y] = true
		}
	}
	return s.lookup[x]
}
