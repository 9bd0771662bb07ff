package current

import (
	"fmt"
	"slices"
	"testing"

	"github.com/topotape/topotape/reporter/reportertest"
)

func TestGather(t *testing.T) {
	const window = 5
	ended := func(in uint64) func(*flow) { return func(f *flow) { f.ended, f.window = true, in } }
	all := []*flow{
		openFlow(1, reportertest.Plain),
		openFlow(1, reportertest.Plain).with(func(f *flow) { f.established = false }),
		openFlow(1, reportertest.Plain).with(ended(window)),
		openFlow(1, reportertest.Plain).with(ended(window)).with(func(f *flow) { f.established = false }),
		openFlow(1, reportertest.Plain).with(ended(window - 1)),
		openFlow(1, reportertest.Plain).with(ended(window - 1)).with(func(f *flow) { f.pending = true }),
	}
	for _, c := range []struct {
		pending bool
		zones   []uint16
		want    []int
	}{
		{false, nil, []int{0, 1, 2}},
		{true, nil, []int{0, 1, 2, 5}},
		{true, []uint16{2, 1, 1, 0, 0, 0}, []int{5, 1, 2, 0}},
	} {
		for i := range c.zones {
			all[i].key.zone = c.zones[i]
		}
		var got []int
		for _, f := range gather(all, window, c.pending) {
			got = append(got, slices.Index(all, f))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// A chain is reported while a flow is open, and in the window in which the last flow ended.
func TestReportedChains(t *testing.T) {
	const window = 5
	for _, c := range []struct {
		ended []uint64 // windows, 0 of an open flow
		want  bool
	}{
		{[]uint64{0}, true},
		{[]uint64{3, 0}, true},
		{[]uint64{3, 5}, true},
		{[]uint64{5, 3}, true},
		{[]uint64{3, 4}, false},
	} {
		var flows []*flow
		for _, w := range c.ended {
			flows = append(flows, &flow{ended: w > 0, window: w})
		}
		if got := (&chain{path: flows[:1], passive: flows[1:]}).reported(window); got != c.want {
			t.Errorf("ended in %v: %v", c.ended, got)
		}
	}
}

// observe combines the times of flows, and takes the state of the flow with the highest rank.
func TestObserve(t *testing.T) {
	ss := threeNamespaces()
	ss.List[0].Degrade("a gap", 7)
	open, half := flow{key: flowKey{source: 1}, first: 10, last: 30, stateSeq: 3, state: 3, hasState: true, established: true}, flow{key: flowKey{source: 2}, first: 5, last: 20, state: 1, hasState: true, handshake: true}
	ended := flow{key: flowKey{source: 1}, first: 20, last: 40, stateSeq: 9, state: 4, hasState: true, established: true, ended: true}
	for name, c := range map[string]struct {
		path, passive []*flow
		want          observed
	}{
		"one":       {[]*flow{&open}, nil, observed{first: 10, last: 30, gap: 7, state: "ESTABLISHED", settled: true, rank: 4, established: true, hidden: true}},
		"half open": {[]*flow{&half, &open}, nil, observed{first: 5, last: 30, gap: 7, state: "ESTABLISHED", settled: true, rank: 4, established: true, handshake: true}},
		"ended":     {[]*flow{&ended}, nil, observed{first: 20, last: 40, gap: 7, state: "FIN_WAIT", settled: true, rank: 2, established: true, closed: true}},
		"passive":   {[]*flow{&ended}, []*flow{&open}, observed{first: 10, last: 40, gap: 7, state: "ESTABLISHED", settled: true, rank: 4, established: true}},
	} {
		if got := observe(&chain{path: c.path, passive: c.passive}, ss); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", c.want))
		}
	}
}
