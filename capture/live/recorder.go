package live

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/outfile"
	"github.com/topotape/topotape/capture/tape"
)

const (
	flushEvery = 250 * time.Millisecond
	syncEvery  = 5 * time.Second
	hostEvery  = 30 * time.Second
	// stopWait bounds how long the collectors may take to stop.
	stopWait = 5 * time.Second
	// queueLen bounds the batches that wait for the sequencer. The collectors'
	// pools bound their bytes.
	queueLen = 32
	// tapeTail is the room that closing a tape may need besides its open chunk,
	// in bytes.
	tapeTail = 16 << 10
)

// recorder is the state of one recording.
type recorder struct {
	o       Options
	m       *machine
	console console
	out     *output
	tape    *tape.Writer
	plan    sizePlan
	seq     *sequencer
	clock   collect.Clock
	sources []source
	// counters are read at the begin and the end, and by the ticks' goroutine in between.
	counters hostCounters
	unsent   counters // read by that goroutine when it was stopped
	failed   []failure
	renamed  bool // another program renamed the file, which was logged
	begun    time.Time
	awake    int64 // when the loop last woke
	stalls   int
	stalled  time.Duration // in all stalls
	cpu      time.Duration // of this process before the recording

	in      chan *collect.Batch
	ended   chan ended
	running int               // collectors
	dead    map[uint32]string // by source number: why it ended before the recording
	stop    context.CancelFunc
	why     string           // why the recording stops; "" while it runs
	timeout <-chan time.Time // stopWait after the stop
}

// ended says that a collector's Run has returned.
type ended struct {
	source source
	err    error
}

// run records until all collectors have stopped. It returns why the recording
// stopped, and an error if no source was left.
func (r *recorder) run(ctx context.Context) (why string, err error) {
	collecting, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	r.stop, r.dead = stop, map[uint32]string{}
	r.in, r.ended = make(chan *collect.Batch, queueLen), make(chan ended, len(r.sources))
	for _, s := range r.sources {
		r.running++
		if d, ok := s.Collector.(interface{ Drain(uint64) }); ok {
			r.seq.addDrain(drain{s.number, d.Drain})
		}
		if w, ok := s.Collector.(interface{ LookUp([]netip.Addr) }); ok {
			r.seq.core.lookUp = w.LookUp
		}
		go func() { r.ended <- ended{s, s.Run(collecting, r.in)} }()
	}
	background, stopBackground := r.startBackground()
	defer stopBackground()
	ticks, stopTicks := r.startTicks()
	defer stopTicks()
	r.loop(ctx, background, ticks)
	if len(r.dead) == len(r.sources) {
		err = errors.New("no source is left")
	}
	return r.why, err
}

// logDegraded logs why a source is degraded, if the batch is the one that opens
// it.
func (r *recorder) logDegraded(b *collect.Batch) {
	if len(b.Records) == 0 || b.Records[0].Kind != capture.KindSource {
		return
	}
	var opened capture.Source
	if b.Records[0].Decode(&opened) == nil && opened.Why != "" {
		r.console.log("%s: %s", opened.Kind, opened.Why)
	}
}

// halt makes the collectors stop; the loop goes on until they have. Only the
// first reason counts.
func (r *recorder) halt(why string) {
	if r.why != "" {
		return
	}
	r.why = why
	r.stop()
	r.timeout = time.After(stopWait)
}

// fail records an error of the tape; the loop then halts.
func (r *recorder) fail(err error) {
	if r.seq.err == nil {
		r.seq.err = err
	}
}

// endSource adds what a collector had sent before it ended and, unless the
// recording stops, records why it ended.
func (r *recorder) endSource(e ended) {
	for drained := false; !drained; {
		select {
		case b := <-r.in:
			r.logDegraded(b)
			r.seq.batch(b)
		default:
			drained = true
		}
	}
	r.running--
	r.seq.removeDrain(e.source.number)
	if r.why != "" && e.err == nil {
		return
	}
	why := "it ended by itself"
	if e.err != nil {
		why = e.err.Error()
	}
	r.dead[e.source.number] = why
	r.console.log("%s is no longer recorded: %s", e.source.kind, why)
	r.seq.put(capture.KindSource, e.source.number, &capture.Source{Kind: e.source.kind, Why: why})
	if len(r.dead) == len(r.sources) {
		r.halt("no source is left")
	}
}

func (r *recorder) checkSize() {
	if r.o.MaxSize > 0 && r.tape.Size()+int64(r.tape.Pending())+tapeTail >= r.o.MaxSize {
		r.halt(fmt.Sprintf("the tape has reached its size of %s", size(r.o.MaxSize)))
	}
}

func (r *recorder) checkDisk() {
	if free := r.out.free(); r.o.MinFree > 0 && free >= 0 && free < r.o.MinFree {
		r.halt(fmt.Sprintf("the disk has only %s left", size(free)))
	}
}

// checkFile ends the recording if another program has removed, replaced or truncated
// the tape. A tape that was renamed is intact: the recording goes on.
func (r *recorder) checkFile() {
	err := r.out.check()
	switch {
	case err == nil:
	case !errors.Is(err, outfile.ErrRenamed):
		r.fail(err)
	case !r.renamed:
		r.renamed = true
		r.console.log("%v: the recording goes on in %s, and does not get its name when it ends", err, r.out.file.Where())
	}
}

// background has the results of the goroutine that syncs the file and reads the
// facts about the host: both take time, and the sequencer must not wait.
type background struct {
	hosts  chan capture.Host
	failed chan error
}

// startBackground starts that goroutine. The returned function stops it.
func (r *recorder) startBackground() (*background, func()) {
	b := &background{hosts: make(chan capture.Host), failed: make(chan error, 1)}
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		sync, host := time.NewTicker(syncEvery), time.NewTicker(hostEvery)
		defer sync.Stop()
		defer host.Stop()
		for {
			select {
			case <-quit:
				return
			case <-sync.C:
				if err := r.out.sync(); err != nil {
					b.failed <- err
					return
				}
			case <-host.C:
				h, _ := r.m.host(&r.o) // missing facts were logged at the start
				select {
				case b.hosts <- h:
				case <-quit:
					return
				}
			}
		}
	}()
	return b, func() { close(quit); <-gone }
}
