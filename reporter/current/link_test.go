package current

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/reportertest"
	"github.com/topotape/topotape/reporter/source"
)

// linkedText returns chains in short notation: the numbers of the flows in the path and, after a
// bar, of the passive flows.
func linkedText(flows []*flow, chains []chain) (out []string) {
	number := map[*flow]int{}
	for i, f := range flows {
		number[f] = i
	}
	for i := range chains {
		var path, passive []int
		for _, f := range chains[i].path {
			path = append(path, number[f])
		}
		for _, f := range chains[i].passive {
			passive = append(passive, number[f])
		}
		text := fmt.Sprint(path)
		if len(passive) > 0 {
			text += fmt.Sprint("|", passive)
		}
		out = append(out, text)
	}
	return out
}

// threeNamespaces returns sources 1, 2 and 3 of namespaces 100, 200 and 300.
func threeNamespaces() *source.Sources {
	var ss source.Sources
	for n := range uint32(3) {
		ss.List = append(ss.List, &source.Source{Number: n + 1, Netns: uint64(n+1) * 100})
	}
	return &ss
}

// openFlow returns an established flow. Its tuples are as in reportertest.Message.
func openFlow(source uint32, tuples string) *flow {
	o, r, nat := strings.Cut(tuples, " | ")
	f := &flow{key: flowKey{orig: reportertest.TCP(o), source: source}, established: true, handshake: true}
	if f.reply = f.key.orig.Reversed(); nat {
		f.reply = reportertest.TCP(r)
	}
	f.nat = translated(&f.key.orig, &f.reply)
	return f
}

func (f *flow) with(change func(*flow)) *flow { change(f); return f }

func TestLinkFlows(t *testing.T) {
	const (
		masqueraded = "10.1.0.2:4000>10.9.9.9:80 | 10.9.9.9:80>10.8.0.1:4000"
		forwarded   = "10.8.0.1:4000>10.9.9.9:80 | 10.7.0.2:8080>10.8.0.1:4000"
		outside     = "10.1.0.2:4000>10.9.9.9:80"
		between     = "10.8.0.1:4000>10.9.9.9:80"
		server      = "10.8.0.1:4000>10.7.0.2:8080"
	)
	for name, c := range map[string]struct {
		flows []*flow
		want  []string
	}{
		"a translation after the other": {[]*flow{openFlow(2, forwarded), openFlow(1, masqueraded)}, []string{"[1 0]"}},
		"passive flows on the way":      {[]*flow{openFlow(3, server), openFlow(2, outside), openFlow(1, masqueraded), openFlow(3, between)}, []string{"[2]|[1 3]", "[0]"}},
		"all of it":                     {[]*flow{openFlow(3, server), openFlow(1, masqueraded), openFlow(2, forwarded)}, []string{"[1 2]|[0]"}},
		"two that do not translate":     {[]*flow{openFlow(2, server), openFlow(1, server)}, []string{"[0]|[1]"}},
		"a pickup in the other direction": {[]*flow{openFlow(1, "10.7.0.2:8080>10.8.0.1:4000").with(func(f *flow) { f.handshake = false }),
			openFlow(2, server)}, []string{"[1]|[0]"}},
		"a handshake in the other direction": {[]*flow{openFlow(1, "10.7.0.2:8080>10.8.0.1:4000"), openFlow(2, server)}, []string{"[0]", "[1]"}},
		"one namespace":                      {[]*flow{openFlow(1, server), openFlow(1, server)}, []string{"[0]", "[1]"}},
		"another zone":                       {[]*flow{openFlow(1, server), openFlow(2, server).with(func(f *flow) { f.key.zone = 1 })}, []string{"[0]", "[1]"}},
		"loopback":                           {[]*flow{openFlow(1, "127.0.0.1:1>127.0.0.1:2"), openFlow(2, "127.0.0.1:1>127.0.0.1:2")}, []string{"[0]", "[1]"}},
		"ended before the other began": {[]*flow{openFlow(1, server).with(func(f *flow) { f.ended, f.end.at = true, 1 }),
			openFlow(2, server).with(func(f *flow) { f.first = 2 })}, []string{"[0]", "[1]"}},
		"rather one that is open, too": {[]*flow{openFlow(1, server), openFlow(2, server).with(func(f *flow) { f.ended, f.end.at = true, 1 }),
			openFlow(2, server)}, []string{"[0]|[2]", "[1]"}},
	} {
		got := linkedText(c.flows, linkFlows(c.flows, threeNamespaces()))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Each flow is in one chain, each flow of a path leaves with the tuple with which the next enters,
// and a namespace has a tuple once in a chain.
func TestLinkedChains(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	ss, longest := threeNamespaces(), 0
	for round := range 300 {
		var flows []*flow
		tuple := func() string {
			return fmt.Sprintf("10.0.0.%d:%d>10.0.0.%d:80", rng.IntN(3), 80+rng.IntN(2), rng.IntN(3))
		}
		for range rng.IntN(40) {
			tuples := tuple()
			if rng.IntN(2) == 0 {
				tuples += " | " + tuple()
			}
			f := openFlow(uint32(1+rng.IntN(3)), tuples)
			f.handshake, f.ended, f.key.zone = rng.IntN(2) == 0, rng.IntN(4) == 0, uint16(rng.IntN(8)/7)
			f.first = int64(rng.IntN(5))
			f.end.at = f.first + int64(rng.IntN(5))
			flows = append(flows, f)
		}
		seen := map[*flow]int{}
		chains := linkFlows(flows, ss)
		for i := range chains {
			c := &chains[i]
			longest = max(longest, len(c.path)+len(c.passive))
			for j, f := range c.path {
				if j > 0 && c.path[j-1].reply.Reversed() != f.key.orig || len(c.path) > 1 && !f.nat {
					t.Fatalf("round %d: path %v", round, linkedText(flows, chains))
				}
			}
			all := slices.Concat(c.path, c.passive)
			for j, f := range all {
				seen[f]++
				for _, g := range all[:j] {
					if f.key.source == g.key.source && f.sharesTuple(g) || f.key.zone != g.key.zone {
						t.Fatalf("round %d: %v and %v are one connection", round, f.key, g.key)
					}
				}
			}
		}
		for i, f := range flows {
			if seen[f] != 1 {
				t.Fatalf("round %d: flow %d is in %d chains: %v", round, i, seen[f], linkedText(flows, chains))
			}
		}
	}
	if longest < 4 {
		t.Errorf("the longest chain has %d flows", longest)
	}
}

// A tuple that is used many times is a new connection each time, whether two namespaces show
// each in turn or one shows all of them first.
func TestReusedTupleInTwoNamespaces(t *testing.T) {
	const lives = 1000
	h := newMachineHost(t)
	for _, sources := range [][]uint32{{1, 5}, {1}, {5}} {
		for i := range uint32(lives) {
			h.At = int64(i+1) * 1e6
			for _, source := range sources {
				h.Send(reportertest.Message{Type: ctmsg.Update, ID: i, Source: source, State: "ESTABLISHED", Tuples: reportertest.Plain})
				h.Send(reportertest.Message{Type: ctmsg.Destroy, ID: i, Source: source, Tuples: reportertest.Plain})
			}
		}
		if len(sources) == 1 && sources[0] == 1 {
			continue
		}
		if r := h.Report(); len(r.Connections) != lives {
			t.Errorf("sources %v: %d connections of %d", sources, len(r.Connections), lives)
		}
		h.Want()
	}
}

// Flows that ended since the last walk of /proc are not linked with the flow of an open
// connection.
func TestEndedFlowsAreNotLinkedWithOpenOnes(t *testing.T) {
	h := newMachineHost(t)
	h.Walk(reportertest.Socket{Netns: 7, Row: "10.3.3.3:1>10.4.4.4:2", Inode: 3}) // the only one
	h.Pass(1).Send(reportertest.Message{Type: ctmsg.Update, ID: 1, Source: 5, State: "ESTABLISHED", Tuples: reportertest.Plain})
	const lives = 600
	for i := range uint32(lives) {
		h.Pass(1).Send(reportertest.Message{Type: ctmsg.Update, ID: i + 9, Source: 1, State: "ESTABLISHED", Tuples: reportertest.Plain})
		if i < lives-1 {
			h.Pass(1).Send(reportertest.Message{Type: ctmsg.Destroy, ID: i + 9, Source: 1, Tuples: reportertest.Plain})
		}
		if i%50 > 0 && i < lives-1 {
			h.Put(capture.KindTick, 0, &capture.Tick{})
			continue
		}
		open := 0
		r := h.Report()
		for j := range r.Connections {
			if c := &r.Connections[j]; !c.Closed && c.From.Addr.Port() == 40000 {
				open++
			}
		}
		if open != 1 {
			t.Fatalf("%d open connections after %d in turn", open, i+1)
		}
	}
}

// BenchmarkReportOfOneTuple measures a report after one tuple was used many times in one of two
// namespaces.
func BenchmarkReportOfOneTuple(b *testing.B) {
	for _, n := range []int{1000, 10000, 100000} {
		b.Run(fmt.Sprintf("lives=%d", n), func(b *testing.B) {
			h := newMachineHost(b)
			h.Send(reportertest.Message{Type: ctmsg.Update, ID: 1, Source: 5, State: "ESTABLISHED", Tuples: "10.0.0.9:1>10.0.0.2:80"})
			for i := range uint32(n) {
				h.At += 1000
				h.Send(reportertest.Message{Type: ctmsg.Update, ID: i, State: "ESTABLISHED", Tuples: reportertest.Plain})
				h.At += 1000
				h.Send(reportertest.Message{Type: ctmsg.Destroy, ID: i, Tuples: reportertest.Plain})
			}
			h.Put(capture.KindTick, 0, &capture.Tick{Interval: 3e9})
			b.ReportAllocs()
			for b.Loop() {
				c := h.m
				c.linked = nil // so that Report links the flows again
				if got := len(c.Report().Connections); got != n+1 {
					b.Fatal(got)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/connection")
		})
	}
}
