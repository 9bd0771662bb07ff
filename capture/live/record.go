package live

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
	"github.com/topotape/topotape/capture/outfile"
	"github.com/topotape/topotape/capture/tape"
)

// Record records until ctx is done or a limit is reached, and closes the tape.
// The end record contains the cause of ctx (see context.Cause).
//
// The summary is nil only if no tape was begun. With an error, it shows what was
// saved.
func Record(ctx context.Context, o Options) (*Summary, error) {
	return record(ctx, o, thisMachine())
}

func record(ctx context.Context, o Options, m *machine) (*Summary, error) {
	o.setDefaults()
	r := &recorder{o: o, m: m, console: console{lines: o.Log, status: o.Status}, plan: newSizePlan(&o), begun: time.Now()}
	r.cpu, _ = usage()
	start, wall := m.bothClocks()
	r.clock = func() int64 { return m.boot() - start }
	host, hostErr := m.host(&o)
	if hostErr != nil {
		r.console.log("host: some facts are missing: %v", hostErr)
	}
	if host.Name == "" {
		host.Name = "host"
	}
	sources, err := m.sources(&o, r.clock)
	if err != nil {
		return nil, err
	}
	if r.out, err = openOutput(ctx, &o, host.Name, time.Unix(0, wall)); err != nil {
		return nil, err
	}
	if f := r.out.file; f != nil && f.Warning != "" {
		r.console.log("%s", f.Warning)
	}
	if free := r.out.free(); free >= 0 && o.MinFree > 0 && free < o.MinFree {
		r.out.discard()
		return nil, fmt.Errorf("%s: the disk has only %s free, less than the %s that must stay free (--min-free)", r.out.name, size(free), size(o.MinFree))
	}
	failed, err := r.open(sources)
	if err != nil {
		r.out.discard()
		return nil, err
	}
	h := r.header(&host, wall)
	var c Core
	if o.NewCore != nil {
		c, err = o.NewCore(h)
	}
	if err == nil {
		r.tape, err = tape.NewWriter(r.out, h)
	}
	if err != nil {
		r.closeSources()
		r.out.discard()
		return nil, err
	}
	r.seq = newSequencer(r.tape, c, r.clock, m.wall, len(capture.UsualSources()))
	r.seq.witness = capture.Witness{Rules: o.Rules, Core: o.CoreVersion}
	r.seq.offset = wall
	r.counters = m.counters()
	defer r.counters.Close()
	r.seq.putHost(&host)
	r.seq.putCounters(r.readCounters())
	for _, f := range failed {
		r.seq.put(capture.KindSource, f.number, &capture.Source{Kind: f.kind, Why: f.why})
	}
	why, stopErr := r.run(ctx)
	return r.finish(why, stopErr)
}

// failure is a source that could not be opened.
type failure struct {
	number uint32
	kind   string
	why    string
}

// open opens the sources and returns those that failed. It is an error if all
// failed.
func (r *recorder) open(sources []source) ([]failure, error) {
	var failed []failure
	for _, s := range sources {
		if err := s.Open(); err != nil {
			failed = append(failed, failure{s.number, s.kind, err.Error()})
			r.console.log("%s is not recorded: %v", s.kind, err)
			continue
		}
		r.sources = append(r.sources, s)
	}
	if len(r.sources) == 0 {
		return nil, errors.New("none of the sources can be recorded")
	}
	r.failed = failed
	r.chooseTables()
	return failed, nil
}

// chooseTables makes proc read the tables of sockets by sock_diag unless sockets is recorded: they are cheaper to read so,
// and show the cgroups of the sockets.
func (r *recorder) chooseTables() {
	if slices.ContainsFunc(r.sources, func(s source) bool { return s.kind == capture.SourceSockets }) {
		return
	}
	for _, s := range r.sources {
		if p, ok := s.Collector.(interface{ UseSockDiag() }); ok {
			p.UseSockDiag()
		}
	}
}

// closeSources releases what collectors acquired that were opened and never run.
func (r *recorder) closeSources() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, s := range r.sources {
		runAndDiscard(ctx, s, func(*collect.Batch) {})
	}
}

// runAndDiscard runs a collector; see is called with each batch before its
// release.
func runAndDiscard(ctx context.Context, s source, see func(*collect.Batch)) error {
	in, done := make(chan *collect.Batch), make(chan error, 1)
	go func() { done <- s.Run(ctx, in) }()
	for {
		select {
		case b := <-in:
			see(b)
			b.Release()
		case err := <-done:
			return err
		}
	}
}

func (r *recorder) header(host *capture.Host, wall int64) *capture.Header {
	h := &capture.Header{
		Minor: tape.Minor, Tool: r.o.Tool, Core: r.o.CoreVersion, Start: wall,
		BigEndian: binary.NativeEndian.Uint16([]byte{0, 1}) == 1,
		HostID:    host.ID, HostName: host.Name, LocalNetworks: r.o.LocalNetworks,
		Recorder: r.o.Recorder, Command: r.o.Command, Note: r.o.Note,
	}
	rand.Read(h.TapeID[:])
	rand.Read(h.Recording[:])
	return h
}

// finish closes the tape and makes the summary.
func (r *recorder) finish(why string, stopErr error) (*Summary, error) {
	r.console.clear()
	s := r.seq
	s.emitAll()
	s.putCounters(r.unsent)
	s.putCounters(r.readCounters())
	s.tickNow()
	s.put(capture.KindEnd, 0, &capture.End{Why: why, Totals: r.totals(&s.tally)})
	s.close()
	err := s.err
	switch {
	case err == nil:
		if err = r.out.commit(); err != nil && r.out.unsynced.Load() {
			err = fmt.Errorf("%w; %s", err, r.out.saved(s.records))
		}
	case errors.Is(err, syscall.EPIPE):
		r.out.cut()
		err, why = nil, "the reader of the tape closed the pipe"
	default:
		why, err = r.cut()
	}
	return r.summary(why, s.err == nil), errors.Join(err, stopErr)
}

// cut closes a tape that cannot be finished. It returns why, and an error that says
// what was saved.
func (r *recorder) cut() (why string, err error) {
	s, why := r.seq, "the tape can't be written"
	err = s.err
	if lost := r.out.lost(); lost != nil {
		err, why = lost, lost.Error()
	}
	switch {
	case errors.Is(err, outfile.ErrTruncated):
		if st, statErr := r.out.file.Stat(); statErr == nil {
			r.out.written.Store(s.saved.recount(r.out.file, st.Size()))
		}
	case r.out.written.Load() == 0:
		s.saved = newTally(len(s.totals) - 1)
	}
	err = errors.Join(err, r.out.cut())
	return why, fmt.Errorf("%w; %s", err, r.out.saved(s.saved.records))
}

// totals returns the totals of the sources that are recorded.
func (r *recorder) totals(of *tally) []capture.Total {
	var totals []capture.Total
	for _, s := range r.sources {
		t := of.totals[s.number]
		t.Kind = s.kind
		t.Received = s.Stats().Received
		t.Undecodable = of.undecodable[s.kind]
		totals = append(totals, t)
	}
	return totals
}

func (r *recorder) summary(why string, closed bool) *Summary {
	cpu, memory := usage()
	s := &Summary{
		File: r.out.name, Closed: closed, Why: why, Bytes: r.out.written.Load(), Records: r.seq.saved.records,
		Duration: time.Since(r.begun), CPU: cpu - r.cpu, Memory: memory, Fault: r.seq.fault,
		Stalls: r.stalls, Stalled: r.stalled,
	}
	if slices.ContainsFunc(r.sources, func(s source) bool { return s.kind == capture.SourceConntrack }) {
		s.OtherNetns = max(0, r.seq.namespaces-1)
	}
	for i, t := range r.totals(&r.seq.saved) {
		src := SourceSummary{
			Kind: t.Kind, Received: t.Received, Recorded: t.Recorded, Lost: t.Lost, Undecodable: t.Undecodable,
			Gaps: r.seq.saved.gaps[t.Source], Why: bothReasons(r.sources[i].Stats().Why, r.seq.core.degraded[t.Kind]),
		}
		if why := r.dead[t.Source]; why != "" {
			src.Why = "recorded in part: " + why
		}
		s.Sources = append(s.Sources, src)
	}
	for _, f := range r.failed {
		s.Sources = append(s.Sources, SourceSummary{Kind: f.kind, Why: "not recorded: " + f.why})
	}
	return s
}

// bothReasons joins the collector's and the core's reasons why a source is degraded,
// unless one contains the other.
func bothReasons(collector, core string) string {
	switch {
	case strings.Contains(core, collector):
		return core
	case strings.Contains(collector, core):
		return collector
	}
	return collector + "; " + core
}
