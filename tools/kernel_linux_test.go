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
	lead := wallLead()
	foreign(t)
	fences, err := newFencer(lab.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer fences.conn.Close()
	r := record(t, lab, bin, "--interval", "100ms", "--proc-interval", "1s", "--sources", "conntrack,proc")
	behind := func(walks int) { // waits for what the recorder sees from now on
		t.Helper()
		if err := r.passes(fences, walks); err != nil {
			t.Fatal(err)
		}
	}
	behind(2)
	young := hold(t, lab, 3)

	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	looks := lookWhile(ctx, t, lab, fences, instants(t))
	behind(2) // walks see what is left
	settled, err := takeLook(ctx, lab, fences)
	if err != nil {
		t.Fatal(err)
	}
	behind(1) // and that it stays
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
func lookWhile(ctx context.Context, t *testing.T, lab *netlab.Lab, fences *fencer, n int) []*look {
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
		k, err := takeLook(ctx, lab, fences)
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

// wallLead is by how much the wall clock is ahead of the boot clock, from the pair
// of readings between which the least time passed.
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

// foreign opens a connection that is not the lab's, and first in every report:
// there is always one on a machine that does something else.
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

// passes puts a fence up and waits until behind it are that many whole walks on the
// tape, and then a tick.
func (r *recording) passes(fences *fencer, walks int) error {
	f, err := fences.put()
	if err != nil {
		return err
	}
	var up, walking bool
	var left int
	r.until(fmt.Sprintf("fence %d, %d walks and a tick behind it", f, walks), func(rec *capture.Record) bool {
		switch {
		case rec.Seq == 1:
			up, walking, left = false, false, walks
		case rec.Kind == capture.KindConntrack && !up:
			e, err := eventOf(rec)
			up = err == nil && fenceOf(e) == f
		case rec.Kind == capture.KindWalkBegin && up:
			walking = true
		case rec.Kind == capture.KindWalkEnd && walking:
			walking = false
			left--
		}
		return up && left <= 0 && rec.Kind == capture.KindTick
	})
	return nil
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
