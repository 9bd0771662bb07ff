package tools

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
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

// instants returns the number of snapshots. The environment variable TOPOTAPE_INSTANTS sets it.
func instants(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("TOPOTAPE_INSTANTS"))
	if err != nil {
		return 200
	}
	return n
}

// The report agrees with the kernel's own tools at the same moment, except for differences
// that the order of the readings explains. Without traffic it agrees exactly.
func TestReportIsTheKernels(t *testing.T) {
	for _, c := range []string{"conntrack", "ss"} {
		if _, err := exec.LookPath(c); err != nil && os.Geteuid() == 0 {
			t.Fatalf("needs %s: install Debian's conntrack and iproute2", c)
		}
	}
	lab, bin := newLab(t)
	old := hold(t, lab, 2) // older than the recording
	lead := wallLead()
	foreign(t)
	markers, err := newMarkerSource(lab.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer markers.conn.Close()
	r := record(t, lab, bin, "--interval", "100ms", "--proc-interval", "1s", "--sources", "conntrack,proc")
	wait := func(walks int) { // for so many walks from now on, and a tick
		t.Helper()
		if err := r.passes(markers, walks); err != nil {
			t.Fatal(err)
		}
	}
	wait(2)
	young := hold(t, lab, 3)

	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	snapshots := snapshotsDuringTraffic(ctx, t, lab, markers, instants(t))
	wait(2) // the walks see the connections that are left
	settled, err := takeSnapshot(ctx, lab, markers)
	if err != nil {
		t.Fatal(err)
	}
	wait(1) // and that nothing changes
	if code := r.stop(); code != 0 {
		t.Fatalf("record: exit code %d", code)
	}
	facts, err := readFacts(r.tape, lead)
	if err != nil {
		t.Fatal(err)
	}
	spaces := []uint64{lab.Client.Inode, lab.Gateway.Inode, lab.Server.Inode, lab.DNS.Inode}
	ch := newChecker(facts, spaces...)
	for i, k := range snapshots {
		if !ch.flows(k) || !ch.sockets(k) {
			t.Fatalf("no report around instant %d", i)
		}
	}
	ch.checkWalks(append(slices.Clone(snapshots), settled))
	t.Logf("%d instants, %d walks, %d reports: %v", len(snapshots), len(facts.walks), len(facts.ticks), ch)
	if len(ch.unexplained) > 0 {
		keepTape(t, r.tape)
		t.Errorf("%d differences are not explained", len(ch.unexplained))
	}
	exact := newChecker(facts, spaces...)
	if !exact.flows(settled) || !exact.sockets(settled) {
		t.Fatal("no report around the last snapshot")
	}
	t.Logf("settled: %v", exact)
	if exact.counts[agrees] != exact.compared || len(settled.flows) < 2*15 || exact.compared < 4*15 {
		keepTape(t, r.tape)
		t.Errorf("without traffic, %d of %d comparisons agree: %v", exact.counts[agrees], exact.compared, exact)
	}
	t.Run("errors are found", func(t *testing.T) { tamper(t, facts, settled, snapshots, spaces) })
	for _, h := range append(old, young...) {
		if _, err := h.Release(ctx); err != nil {
			t.Error(err)
		}
	}
}

// hold opens n connections of each kind, which stay open.
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

// snapshotsDuringTraffic takes snapshots at random instants while connections open and close.
func snapshotsDuringTraffic(ctx context.Context, t *testing.T, lab *netlab.Lab, markers *markerSource, n int) []*snapshot {
	during, stop := context.WithCancel(ctx)
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for during.Err() == nil {
			if _, err := lab.Run(ctx, churn()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed of the instants: %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var snapshots []*snapshot
	for len(snapshots) < n && ctx.Err() == nil {
		time.Sleep(time.Duration(random.Int64N(int64(30 * time.Millisecond))))
		k, err := takeSnapshot(ctx, lab, markers)
		if err != nil {
			t.Error(err)
			break
		}
		snapshots = append(snapshots, k)
	}
	stop()
	traffic.Wait()
	return snapshots
}

// wallLead returns how much the wall clock is ahead of the boot clock. It uses the two
// readings with the least time between them.
func wallLead() (lead int64) {
	least := int64(math.MaxInt64)
	for range 100 {
		before := bootTime()
		wall := time.Now().UnixNano()
		if took := bootTime() - before; took < least {
			least, lead = took, wall-before
		}
	}
	return lead
}

// foreign opens a connection that is not the lab's and is the first one in every report: a
// real machine has such connections.
func foreign(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
}

// passes adds a marker and waits until so many complete walks, and then a tick, follow it
// on the tape.
func (r *recording) passes(markers *markerSource, walks int) error {
	f, err := markers.put()
	if err != nil {
		return err
	}
	var passed, walking bool
	var left int
	r.until(fmt.Sprintf("marker %d, %d walks and a tick after it", f, walks), func(rec *capture.Record) bool {
		switch {
		case rec.Seq == 1:
			passed, walking, left = false, false, walks
		case rec.Kind == capture.KindConntrack && !passed:
			e, err := eventOf(rec)
			passed = err == nil && markerOf(e) == f
		case rec.Kind == capture.KindWalkBegin && passed:
			walking = true
		case rec.Kind == capture.KindWalkEnd && walking:
			walking = false
			left--
		}
		return passed && left <= 0 && rec.Kind == capture.KindTick
	})
	return nil
}

// keepTape copies the tape to a file that stays.
func keepTape(t *testing.T, tape string) {
	b, err := os.ReadFile(tape)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp("", "unexplained-*.tape"); err == nil {
			_, err = f.Write(b)
			f.Close()
			t.Logf("the tape is kept: %s", f.Name())
		}
	}
	if err != nil {
		t.Logf("the tape is not kept: %v", err)
	}
}
