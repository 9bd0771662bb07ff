//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/topotape/topotape/tools/netlab"
)

// host measures the cost of recording for the recorded host.
func (b *bench) host() error {
	for _, c := range []struct {
		title   string
		traffic netlab.LoadOptions
	}{
		{fmt.Sprintf("Cost for the recorded host at %.0f connections/s", b.plan.rate), netlab.LoadOptions{Rate: b.plan.rate, Duration: b.plan.host}},
		{"Cost for the recorded host at its limit", netlab.LoadOptions{Duration: b.plan.host}},
	} {
		got := make([][]netlab.LoadResult, len(b.plan.watchers))
		for round := range b.plan.hostRounds {
			for i := range b.plan.watchers {
				i = (i + round) % len(b.plan.watchers)
				b.note("%s: round %d, %s", c.title, round+1, b.plan.watchers[i])
				r, err := b.watched(b.plan.watchers[i], c.traffic)
				if err != nil {
					return err
				}
				got[i] = append(got[i], r)
			}
		}
		b.print(b.hostTable(c.title, got))
	}
	return nil
}

// watched makes the traffic while a recorder runs.
func (b *bench) watched(r recorder, traffic netlab.LoadOptions) (load netlab.LoadResult, err error) {
	if err := b.flush(); err != nil {
		return load, err
	}
	if r != nobody {
		path := filepath.Join(b.dir, "watch")
		p, err := b.start(r, path)
		if err != nil {
			return load, err
		}
		defer os.Remove(path)
		defer p.stop()
		if err := p.prepare(r); err != nil {
			return load, err
		}
	}
	if err := b.sleep(time.Second / 2); err != nil {
		return load, err
	}
	return b.lab.Load(b.ctx, traffic)
}

func (b *bench) hostTable(title string, got [][]netlab.LoadResult) *table {
	t := &table{title: title, head: []string{"recorder", "connections/s", "of nobody's", "connect p50 µs", "of nobody's", "connect p99 µs", "of nobody's"}}
	figures := []func(netlab.LoadResult) float64{
		func(r netlab.LoadResult) float64 { return r.PerSecond },
		func(r netlab.LoadResult) float64 { return float64(r.P50.Nanoseconds()) / 1000 },
		func(r netlab.LoadResult) float64 { return float64(r.P99.Nanoseconds()) / 1000 },
	}
	all := make([][]series, len(b.plan.watchers))
	for i, r := range b.plan.watchers {
		row := []string{string(r)}
		for j, f := range figures {
			var s series
			for _, l := range got[i] {
				s = append(s, f(l))
			}
			all[i] = append(all[i], s)
			row = append(row, s.show("%.0f"), s.over(all[0][j]).show("%.2f"))
		}
		t.add(row...)
	}
	t.below = fmt.Sprintf("Rounds: %d, alternating. Client, gateway, server and recorder share the machine's cores. %q has subscribed and reads nothing: its cost is the kernel's, for making the events.",
		b.plan.hostRounds, stopped)
	return t
}
