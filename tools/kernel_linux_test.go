package tools

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/tools/netlab"
)

// churn opens and closes connections of every kind for five seconds.
func churn() netlab.Plan {
	s := time.Second
	p := netlab.Plan{Duration: 5 * s, Patterns: []netlab.Pattern{
		{Kind: netlab.DNAT, Count: 100, Over: 5 * s},
		{Kind: netlab.DNAT, Count: 20, Over: 3 * s, Hold: 2 * s, Bytes: 1000},
		{Kind: netlab.DNAT, Count: 20, Over: 5 * s, Close: "server"},
		{Kind: netlab.Masquerade, Count: 100, Over: 5 * s},
		{Kind: netlab.Masquerade, Count: 20, Over: 3 * s, Hold: 2 * s},
		{Kind: netlab.DNATSNAT, Count: 60, Over: 5 * s},
		{Kind: netlab.DNATSNAT, Count: 20, Over: 3 * s, Hold: 2 * s},
		{Kind: netlab.Routed, Count: 100, Over: 5 * s, Bytes: 20_000},
		{Kind: netlab.Routed, Count: 20, Over: 4 * s, Hold: s / 2, Close: "reset"},
		{Kind: netlab.IPv6, Count: 60, Over: 5 * s, Hold: s / 4},
		{Kind: netlab.IPv6DNAT, Count: 60, Over: 5 * s},
		{Kind: netlab.IPv6DNAT, Count: 20, Over: 3 * s, Hold: 2 * s},
		{Kind: netlab.HighPort, Count: 30, Over: 4 * s, Hold: s},
		{Kind: netlab.Refused, Count: 10, Over: 4 * s},
		{Kind: netlab.HalfOpen, Count: 4, Over: 4 * s},
	}}
	for i := range 4 {
		p.Patterns = append(p.Patterns, netlab.Pattern{Kind: netlab.Loopback, Count: 4, After: time.Duration(i) * s, Hold: time.Duration(i+1) * s / 4})
	}
	return p
}

// instants is how many looks are taken; TOPOTAPE_INSTANTS makes it more.
func instants(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("TOPOTAPE_INSTANTS"))
	if err != nil {
		return 200
	}
	return n
}

// The report is what the kernel's own tools say at the same moment, but for
// what the order of the readings explains; and when nothing moves, exactly.
func TestReportIsTheKernels(t *testing.T) {
	for _, c := range []string{"conntrack", "ss"} {
		if _, err := exec.LookPath(c); err != nil && os.Geteuid() == 0 {
			t.Fatalf("needs %s: install Debian's conntrack and iproute2", c)
		}
	}
	lab, bin := newLab(t)
	old := hold(t, lab, 2) // older than the recording
	lead := time.Now().UnixNano() - bootTime()
	r := record(t, lab, bin, "--interval", "100ms", "--proc-interval", "1s", "--sources", "conntrack,proc")
	r.until("two walks", func(rec *capture.Record) bool {
		var p capture.ProcWalk
		return rec.Kind == capture.KindWalkEnd && rec.Decode(&p) == nil && p.Number == 2
	})
	young := hold(t, lab, 3)

	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	looks := lookWhile(ctx, t, lab, instants(t))
	time.Sleep(4 * time.Second) // walks see what is left
	settled, err := takeLook(ctx, lab)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if code := r.stop(); code != 0 {
		t.Fatalf("record: exit code %d", code)
	}
	story, err := readStory(r.tape, lead)
	if err != nil {
		t.Fatal(err)
	}
	spaces := []uint64{lab.Client.Inode, lab.Gateway.Inode, lab.Server.Inode, lab.DNS.Inode}
	j := newJudge(story, spaces...)
	for i, k := range looks {
		if !j.flows(k) || !j.sockets(k) {
			t.Fatalf("no report around instant %d", i)
		}
	}
	j.walksBetween(append(slices.Clone(looks), settled))
	t.Logf("%d instants, %d walks, %d reports: %v", len(looks), len(story.walks), len(story.ticks), j)
	if len(j.residues) > 0 {
		keepTape(t, r.tape)
		t.Errorf("%d residues are left", len(j.residues))
	}
	exact := newJudge(story, spaces...)
	if !exact.flows(settled) || !exact.sockets(settled) {
		t.Fatal("no report around the last look")
	}
	t.Logf("settled: %v", exact)
	if exact.counts[agrees] != exact.compared || len(settled.flows) < 2*15 || exact.compared < 4*15 {
		keepTape(t, r.tape)
		t.Errorf("with nothing moving, %d of %d comparisons agree: %v", exact.counts[agrees], exact.compared, exact)
	}
	t.Run("what is wrong is found", func(t *testing.T) { tamper(t, story, settled, looks, spaces) })
	for _, h := range append(old, young...) {
		if _, err := h.Release(ctx); err != nil {
			t.Error(err)
		}
	}
}

// tamper spoils what the reports or tables say of connections that stayed: each
// time there must be residues.
func tamper(t *testing.T, story *tapeStory, settled *look, looks []*look, spaces []uint64) {
	reports := func(change func([]reporter.Connection) []reporter.Connection) *tapeStory {
		s := *story
		s.ticks = slices.Clone(story.ticks)
		for i := range s.ticks {
			s.ticks[i].conns = change(slices.Clone(s.ticks[i].conns))
		}
		return &s
	}
	tables := func(change func(*tableRead)) *tapeStory {
		s := *story
		s.walks = nil
		for _, w := range story.walks {
			c := *w
			c.tables = map[tableName]*tableRead{}
			for name, table := range w.tables {
				spoiled := *table
				spoiled.inodes = maps.Clone(table.inodes)
				change(&spoiled)
				c.tables[name] = &spoiled
			}
			s.walks = append(s.walks, &c)
		}
		return &s
	}
	for name, s := range map[string]*tapeStory{
		"a connection is missing": reports(func(c []reporter.Connection) []reporter.Connection { return c[1:] }),
		"a ghost": reports(func(c []reporter.Connection) []reporter.Connection {
			ghost := c[len(c)-1]
			ghost.NAT, ghost.Closed = nil, false
			ghost.From.Addr = netip.AddrPortFrom(ghost.From.Addr.Addr(), 9)
			return append(c, ghost)
		}),
		"a wrong process": reports(func(c []reporter.Connection) []reporter.Connection {
			for i := range c {
				if len(c[i].From.Processes) > 0 {
					c[i].From.Processes = []reporter.Process{{PID: 1, Comm: "init"}}
				}
			}
			return c
		}),
		"rows are missing": tables(func(table *tableRead) {
			for w := range table.inodes {
				if w.from.Addr().IsLoopback() {
					delete(table.inodes, w)
				}
			}
		}),
	} {
		j := newJudge(s, spaces...)
		if !j.flows(settled) || !j.sockets(settled) {
			t.Fatal("no report around the last look")
		}
		j.walksBetween(append(slices.Clone(looks), settled))
		if len(j.residues) == 0 {
			t.Errorf("%s: no residue: %v", name, j)
		}
	}
}

// hold opens n connections of each kind, to stay.
func hold(t *testing.T, lab *netlab.Lab, n int) []*netlab.Held {
	var all []*netlab.Held
	for _, kind := range []string{netlab.DNAT, netlab.Masquerade, netlab.DNATSNAT, netlab.Routed, netlab.IPv6, netlab.IPv6DNAT, netlab.HighPort, netlab.Loopback} {
		h, err := lab.Hold(t.Context(), netlab.Pattern{Kind: kind, Count: n})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	return all
}

// lookWhile takes looks at random instants while connections come and go.
func lookWhile(ctx context.Context, t *testing.T, lab *netlab.Lab, n int) []*look {
	over, stop := context.WithCancel(ctx)
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for over.Err() == nil {
			if _, err := lab.Run(ctx, churn()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed of the instants: %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var looks []*look
	for len(looks) < n && ctx.Err() == nil {
		time.Sleep(time.Duration(random.Int64N(int64(30 * time.Millisecond))))
		k, err := takeLook(ctx, lab)
		if err != nil {
			t.Error(err)
			break
		}
		looks = append(looks, k)
	}
	stop()
	traffic.Wait()
	return looks
}

// keepTape leaves the tape where it can be looked into.
func keepTape(t *testing.T, tape string) {
	b, err := os.ReadFile(tape)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp("", "residue-*.tape"); err == nil {
			_, err = f.Write(b)
			f.Close()
			t.Logf("the tape is kept: %s", f.Name())
		}
	}
	if err != nil {
		t.Logf("the tape is not kept: %v", err)
	}
}
