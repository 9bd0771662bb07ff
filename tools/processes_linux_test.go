package tools

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/topotape/topotape/tools/netlab"
)

// shortLived makes connections by processes that live about 5 ms, 1,000 a second if the
// machine can.
func shortLived(kinds ...string) netlab.Plan {
	const perSecond, seconds = 1000, 3
	p := netlab.Plan{Duration: (seconds + 1) * time.Second}
	for _, k := range kinds {
		count := perSecond * seconds / len(kinds)
		if k == netlab.Loopback { // in two namespaces each
			count /= 2
		}
		p.Patterns = append(p.Patterns, netlab.Pattern{Kind: k, Count: count, Over: seconds * time.Second, Client: netlab.Process})
	}
	return p
}

var (
	tracked = []string{netlab.DNAT, netlab.DNATSNAT, netlab.Masquerade, netlab.IPv6DNAT, netlab.Routed, netlab.IPv6, netlab.Prefork}
	plain   = []string{netlab.Routed, netlab.IPv6, netlab.Loopback}
)

// If no event is lost, both ends of every connection have their processes, however short these
// live: with conntrack through NAT, and without it.
func TestShortLivedProcessesAreKnown(t *testing.T) {
	for _, c := range []struct {
		sources string
		kinds   []string
		all     bool // every end has its process
	}{
		{"conntrack,proc,sockets", append(slices.Clip(tracked), netlab.Loopback), true},
		{"sockets", plain, true},
		{"proc,sockets", plain, true},
		{"conntrack,proc", tracked, false},
	} {
		t.Run(c.sources, func(t *testing.T) {
			res, lost := recordPlan(t, shortLived(c.kinds...), c.sources)
			ends := res.Owned + res.Unowned
			t.Logf("%d of %d ends (%d %%) have their process", res.Owned, ends, 100*res.Owned/max(ends, 1))
			if c.all && !lost && (res.Unowned > 0 || res.Owned < 2000) {
				t.Errorf("%d ends have no process, %d have", res.Unowned, res.Owned)
			}
		})
	}
}

// No end has another one's process or namespace: also not if a process connects in another
// namespace than that of its socket, closes for another one, or resets, or if a process that
// writes packets to a tun device has the processor when a socket changes.
func TestNoProcessIsFalse(t *testing.T) {
	for sources, kinds := range map[string][]string{
		"conntrack,proc,sockets": {netlab.DNAT, netlab.Routed, netlab.IPv6, netlab.Prefork},
		"sockets":                {netlab.Routed, netlab.IPv6},
	} {
		t.Run(sources, func(t *testing.T) {
			plan := netlab.Plan{Duration: 5 * time.Second}
			for _, end := range []string{"client", "server", "reset"} {
				add := func(kind, client string) {
					plan.Patterns = append(plan.Patterns, netlab.Pattern{Kind: kind, Count: 10, Over: 4 * time.Second, Client: client, Close: end})
				}
				for _, k := range kinds {
					for _, client := range []string{netlab.Process, netlab.Exec, netlab.Setns, netlab.Handed} {
						add(k, client)
					}
				}
				add(netlab.Userspace, "")
			}
			recordPlan(t, plan, sources)
		})
	}
}

// recordPlan makes a plan's traffic while it is recorded, and compares the report with the
// truth: nothing must be missing or false.
func recordPlan(t *testing.T, plan netlab.Plan, sources string) (res netlab.Result, lost bool) {
	lab, bin := newLab(t)
	r := record(t, lab, bin, "--sources", sources)
	begin := time.Now()
	truth, err := lab.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d connections, %.0f a second", len(truth), float64(len(truth))/truth[len(truth)-1].Opened.Sub(begin).Seconds())
	time.Sleep(time.Second)
	code := r.stop()
	if lost = code == 3; !lost && code != 0 {
		t.Fatalf("record: exit code %d", code)
	}
	topotape(t, 0, nil, bin, "replay", "--verify", r.tape)
	rep, err := netlab.ReadReport(bytes.NewReader(topotape(t, 0, nil, bin, "replay", "--whole", "--format", "json", r.tape)))
	if err != nil {
		t.Fatal(err)
	}
	res = netlab.Compare(truth, rep, netlab.Window{})
	t.Log(res.Summary(10))
	switch {
	case lost:
		t.Log("a busy machine: the kernel lost events, and only false connections and processes count")
		if len(res.False)+len(res.Reversed)+len(res.Misplaced) > 0 {
			t.Error(res)
		}
	case res.Err() != nil || len(res.Found) == 0:
		t.Error(res)
	}
	return res, lost
}
