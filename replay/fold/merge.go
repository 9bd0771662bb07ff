package fold

import (
	"maps"
	"slices"
)

// merged has one value for each key, at most max.
type merged[K comparable, V any] struct {
	max    int
	values map[K]*V
}

func newMerged[K comparable, V any](max int) merged[K, V] {
	return merged[K, V]{max, map[K]*V{}}
}

// add adds a copy of v, or merges v into the value of the same key.
func (m *merged[K, V]) add(key K, v *V, merge func(to, v *V)) {
	old := m.values[key]
	switch {
	case old != nil:
		merge(old, v)
	case len(m.values) < m.max:
		own := *v
		m.values[key] = &own
	}
}

func (m *merged[K, V]) sorted(compare func(a, b *V) int) []V {
	list := make([]V, 0, len(m.values))
	for _, v := range slices.SortedFunc(maps.Values(m.values), compare) {
		list = append(list, *v)
	}
	return list
}

// union returns the union of two sorted lists, sorted. It does not change them.
func union[T any](a, b []T, compare func(T, T) int) []T {
	if len(a) == 0 || slices.EqualFunc(a, b, func(x, y T) bool { return compare(x, y) == 0 }) {
		return b
	}
	return unionFunc(a, b, compare, func(x, _ T) T { return x })
}

// unionFunc is union with one element in place of two equal ones: what both returns.
func unionFunc[T any](a, b []T, compare func(T, T) int, both func(x, y T) T) []T {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, compare)
	out := all[:0]
	for _, v := range all {
		if last := len(out) - 1; last >= 0 && compare(out[last], v) == 0 {
			out[last] = both(out[last], v)
		} else {
			out = append(out, v)
		}
	}
	return out
}
