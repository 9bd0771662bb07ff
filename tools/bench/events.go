//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/tools/netlab"
)

// recorder names a program, with its options, that the bench compares.
type recorder string

const (
	everything recorder = "topotape, all sources"
	conntracks recorder = "topotape, conntrack only"
	withEvents recorder = "topotape, conntrack and sockets"
	plain      recorder = "conntrack -E"
	buffered   recorder = "conntrack -E, 64 MiB of buffer"
	stopped    recorder = "a stopped conntrack -E"
	nobody     recorder = "nobody"
)

// ourBuffer is the socket buffer that topotape asks for.
const ourBuffer = 64 << 20

// variant is the recorders that run at the same time.
type variant []recorder

var (
	allVariants = []variant{
		{everything, plain}, {everything, buffered}, {conntracks, plain}, {everything}, {conntracks}, {plain}, {buffered},
	}
	quickVariants = []variant{{everything, plain}, {conntracks}, {plain}}
)

// outcome is the result of one recorder in one round.
type outcome struct {
	usage
	events, lost uint64
	bytes        int64 // of its file
}

func (o outcome) perEvent() float64 {
	return float64(o.cpu.Nanoseconds()) / 1000 / float64(max(o.events, 1))
}

// start starts the recorder, which writes to path.
func (b *bench) start(r recorder, path string) (*process, error) {
	switch r {
	case everything:
		return b.record(path)
	case conntracks:
		return b.record(path, "--sources", "conntrack")
	case withEvents:
		return b.record(path, "--sources", "conntrack,sockets")
	}
	return b.conntrack(path, "id,timestamp")
}

// prepare waits until the recorder has subscribed, and then enlarges its buffer or stops it
// if the recorder is of that kind.
func (p *process) prepare(r recorder) error {
	if err := p.ready(); err != nil {
		return err
	}
	switch r {
	case buffered:
		return p.enlarge(ourBuffer)
	case stopped:
		return p.cmd.Process.Signal(syscall.SIGSTOP)
	}
	return nil
}

// measure runs the recorders at the same time while the traffic is made.
func (b *bench) measure(who variant, traffic netlab.LoadOptions) (_ []outcome, load netlab.LoadResult, err error) {
	if err := b.flush(); err != nil {
		return nil, load, err
	}
	ps := make([]*process, len(who))
	paths := make([]string, len(who))
	for i, r := range who {
		paths[i] = filepath.Join(b.dir, fmt.Sprintf("round-%d", i))
		if ps[i], err = b.start(r, paths[i]); err != nil {
			return nil, load, err
		}
		defer func() {
			if err != nil {
				ps[i].kill()
			}
		}()
		if err := ps[i].prepare(r); err != nil {
			return nil, load, fmt.Errorf("%s: %w", r, err)
		}
	}
	if err := b.sleep(time.Second / 2); err != nil { // the first dump and walk
		return nil, load, err
	}
	if load, err = b.lab.Load(b.ctx, traffic); err != nil {
		return nil, load, err
	}
	if load.Failed > load.Made/1000 {
		return nil, load, fmt.Errorf("%d of %d connections failed: %s", load.Failed, load.Made+load.Failed, load.FirstError)
	}
	if err := b.sleep(time.Second); err != nil { // the last events of the traffic
		return nil, load, err
	}
	out := make([]outcome, len(who))
	for i, r := range who {
		if err := ps[i].drained(); err != nil {
			return nil, load, err
		}
		if out[i].usage, err = ps[i].stop(); err != nil {
			return nil, load, err
		}
		if err := out[i].read(r, paths[i], ps[i].drops); err != nil {
			return nil, load, err
		}
		os.Remove(paths[i])
	}
	return out, load, nil
}

// read counts the events in the recorder's file.
func (o *outcome) read(r recorder, path string, drops uint64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil {
		o.bytes = st.Size()
	}
	if r == plain || r == buffered {
		o.lost = drops
		o.events, err = countLines(f)
		return err
	}
	o.events, o.lost, err = countEvents(f)
	return err
}

func countLines(r io.Reader) (n uint64, err error) {
	buf := make([]byte, 1<<20)
	for {
		k, err := r.Read(buf)
		n += uint64(bytes.Count(buf[:k], []byte{'\n'}))
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// countEvents counts the events of a tape, which must be complete.
func countEvents(f io.Reader) (events, lost uint64, err error) {
	var conntrack uint32
	recorded, err := tape.NewReader(f)
	if err != nil {
		return 0, 0, err
	}
	for {
		r, err := recorded.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			return 0, 0, err
		}
		switch r.Kind {
		case capture.KindSource:
			var s capture.Source
			if err := r.Decode(&s); err != nil {
				return 0, 0, err
			}
			if s.Kind == capture.SourceConntrack {
				conntrack = r.Source
			}
		case capture.KindConntrack:
			events++
		case capture.KindGap:
			var g capture.Gap
			if err := r.Decode(&g); err != nil {
				return 0, 0, err
			}
			if r.Source == conntrack {
				lost += g.Lost
			}
		}
	}
	if recorded.Ending() != tape.Closed {
		return 0, 0, errors.New("the tape was not closed")
	}
	return events, lost, nil
}

func (b *bench) sleep(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}

// events compares CPU an event under steady traffic and in a burst.
func (b *bench) events() error {
	steady := netlab.LoadOptions{Rate: b.plan.rate, Duration: b.plan.steady}
	if err := b.compare(fmt.Sprintf("CPU an event: %.0f connections/s for %v", b.plan.rate, b.plan.steady), steady); err != nil {
		return err
	}
	return b.compare(fmt.Sprintf("CPU an event: a burst of %s connections", count(float64(b.plan.burst))), netlab.LoadOptions{Count: b.plan.burst})
}

func (b *bench) compare(title string, traffic netlab.LoadOptions) error {
	got := make([][][]outcome, len(b.plan.variants)) // by variant, recorder, round
	rates := series{}
	for round := range b.plan.rounds {
		for i, v := range b.plan.variants {
			b.note("%s: round %d, %s", title, round+1, v)
			out, load, err := b.measure(v, traffic)
			if err != nil {
				return err
			}
			rates = append(rates, load.PerSecond)
			if got[i] == nil {
				got[i] = make([][]outcome, len(v))
			}
			for j := range v {
				got[i][j] = append(got[i][j], out[j])
			}
		}
	}
	t := table{title: title, head: []string{"recorder", "together with", "µs an event", "of conntrack -E's", "events", "lost", "memory MiB"}}
	alone := map[recorder]series{}
	for i, v := range b.plan.variants {
		if len(v) == 1 {
			alone[v[0]] = collect(got[i][0], outcome.perEvent)
		}
	}
	for i, v := range b.plan.variants {
		for j, r := range v {
			own, beside, base := collect(got[i][j], outcome.perEvent), "nothing", alone[plain]
			if len(v) == 2 {
				beside, base = string(v[1-j]), collect(got[i][1-j], outcome.perEvent)
			}
			ratio := "–"
			if r == everything || r == conntracks {
				ratio = own.over(base).show("%.2f")
			}
			t.add(string(r), beside, own.show("%.2f"), ratio,
				count(collect(got[i][j], func(o outcome) float64 { return float64(o.events) }).median()),
				lossText(got[i][j]),
				collect(got[i][j], func(o outcome) float64 { return float64(o.memory) / (1 << 20) }).show("%.0f"))
		}
	}
	t.below = fmt.Sprintf("Rounds: %d. The traffic made %s connections/s.", b.plan.rounds, rates.show("%.0f"))
	b.print(&t)
	return nil
}

func collect(rounds []outcome, f func(outcome) float64) series {
	var s series
	for _, o := range rounds {
		s = append(s, f(o))
	}
	return s
}

// lossText shows the number of lost events and their share.
func lossText(rounds []outcome) string {
	lost := collect(rounds, func(o outcome) float64 { return float64(o.lost) })
	if lost.median() == 0 {
		return lost.show("%.0f")
	}
	share := collect(rounds, func(o outcome) float64 { return 100 * float64(o.lost) / float64(o.lost+o.events) })
	return fmt.Sprintf("%s, %.0f %%", lost.show("%.0f"), share.median())
}

// sizes measures bytes an event on tape.
func (b *bench) sizes() error {
	t := table{title: "Bytes an event on tape", head: []string{"recorder", "events/s", "bytes an event"}}
	for _, rate := range b.plan.sizeRates {
		for _, r := range []recorder{conntracks, everything} {
			var events, bytes series
			for range min(b.plan.rounds, 2) {
				b.note("bytes an event: %.0f connections/s, %s", rate, r)
				out, load, err := b.measure(variant{r}, netlab.LoadOptions{Rate: rate, Duration: b.plan.size})
				if err != nil {
					return err
				}
				events = append(events, float64(out[0].events)/load.Elapsed.Seconds())
				bytes = append(bytes, float64(out[0].bytes)/float64(max(out[0].events, 1)))
			}
			t.add(string(r), events.show("%.0f"), bytes.show("%.1f"))
		}
	}
	t.below = "The whole file counts: head, ticks, witnesses, index; with all sources also the tables of /proc, whose size does not depend on the events."
	b.print(&t)
	return nil
}
