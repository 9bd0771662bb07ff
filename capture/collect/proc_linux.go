package collect

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// Proc walks /proc: it records the TCP tables of every network namespace that
// has a process, and which process owns which sockets.
//
// A walk reads a table if something changed: if a counter of its namespace
// differs (see counters), or if a process there owns a socket that none owned
// when the table was last read. Every table is also read from time to time
// (ProcConfig.Full). Proc does not see:
//
//   - a namespace that only a mount keeps (ip netns add), or that only a thread
//     other than its process's first is in: /proc/PID/ns/net shows neither;
//   - until the table is due, an accept or a change of listeners by a process of
//     another namespace, or by a process that may not be read;
//   - processes of other pid namespaces, if it runs in a pid namespace itself.
//
// A process whose namespace may not be read is listed under namespace 0, as
// partial.
type Proc struct {
	cfg    ProcConfig
	fs     *procfs
	diag   diag // not usable unless UseSockDiag was called
	source capture.Source

	number  uint64            // of the last walk
	walked  int64             // end of the last complete walk
	spaces  map[uint64]*space // by inode
	owners  map[uint32]*owner // by pid
	credit  float64           // namespaces that may be read although nothing changed
	cost    time.Duration     // moving average of such a reading
	rotated int64             // when credit was last added

	endsChecked int  // short reads that were checked for being a table's end
	endsWrong   bool // one of them was not

	mu    sync.Mutex
	stats Stats
}

// NewProc returns a collector that is not open yet.
func NewProc(cfg ProcConfig) *Proc {
	cfg.setDefaults()
	return &Proc{cfg: cfg}
}

// Open checks that there are processes to walk. If some are hidden, that is no
// error: the source record and Stats say so.
func (p *Proc) Open() error {
	fs, err := openProcfs(p.cfg.Root)
	if err != nil {
		return fmt.Errorf("proc: open %s: %w: is procfs mounted there?", p.cfg.Root, err)
	}
	pids, err := fs.pids()
	if err != nil || len(pids) == 0 {
		fs.close()
		return fmt.Errorf("proc: %s shows no process: is procfs mounted there?", p.cfg.Root)
	}
	visible, hidden := 0, 0
	for _, pid := range pids {
		switch _, err := fs.netns(pid); {
		case err == nil:
			visible++
		case denied(err):
			hidden++
		}
	}
	if visible == 0 {
		fs.close()
		return fmt.Errorf("proc: no process's network namespace can be read: %s", procNeeds)
	}
	p.fs = fs
	p.source = capture.Source{Open: true, Kind: capture.SourceProc, Why: p.blindWhy(pids, hidden, len(pids))}
	p.stats.Why = p.source.Why
	return nil
}

// UseSockDiag makes Run read the tables by sock_diag, and from /proc where that does not
// work. It may be called between Open and Run.
func (p *Proc) UseSockDiag() { p.diag = openDiag() }

// Describe returns lines about what the open collector would see.
func (p *Proc) Describe() []string {
	pids, _ := p.fs.pids()
	spaces := make(map[uint64]bool)
	for _, pid := range pids {
		if netns, err := p.fs.netns(pid); err == nil {
			spaces[netns] = true
		}
	}
	lines := []string{fmt.Sprintf("%d processes in %d network namespaces", len(pids), len(spaces))}
	if n := len(spaces) - 1; n > 0 {
		lines = append(lines, OtherNamespaces(n))
	}
	return lines
}

// unlock lets other goroutines use the thread, unless it is in another namespace: then it
// ends with this goroutine.
func (p *Proc) unlock() {
	if !p.diag.strayed {
		runtime.UnlockOSThread()
	}
}

func (p *Proc) close() {
	p.fs.close()
	p.diag.close()
}

// Run walks until ctx is done; it does not finish a walk then.
func (p *Proc) Run(ctx context.Context, out chan<- *Batch) error {
	runtime.LockOSThread() // the thread's CPU time is the walks', and it enters other namespaces
	defer p.unlock()
	defer p.close()
	q := newQueue(p.cfg.Source, out)
	q.add(capture.KindSource, p.cfg.Clock(), &p.source)
	q.flush()
	text := make([]byte, maxPart)
	cpuBudget := newBudget(p.cfg.Share, time.Now())
	var skipped skippedWalks
	late := time.Duration(0)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.gap(q, &skipped)
			q.flush()
			return nil
		case <-timer.C:
		}
		if ctx.Err() != nil {
			continue
		}
		if why := p.mustWait(q); why != "" {
			if late += p.cfg.Interval / 8; late >= p.cfg.Interval {
				late = 0
				p.skip(&skipped, 1, why, p.walked)
			}
			timer.Reset(p.cfg.Interval / 8)
			continue
		}
		late = 0
		p.gap(q, &skipped)
		start, cpu, added, walked := time.Now(), threadTime(), q.added, p.walked
		q.blocked = 0
		w := &walk{Proc: p, ctx: ctx, q: q, fs: p.fs, text: text}
		w.run()
		p.skip(&skipped, uint64(q.blocked/p.cfg.Interval), queueFull, walked)
		p.cfg.Allowance.spend(q.added-added, p.cfg.Clock())
		took := threadTime() - cpu
		pause := time.Until(start.Add(p.cfg.Interval))
		wait := cpuBudget.spend(took, time.Now())
		if w.number == 1 {
			cpuBudget.forgive()
			p.cfg.Allowance.Refill() // likewise
			wait = 0
		}
		pause = max(pause, wait)
		p.setWhy(q, w, took, time.Since(start)+pause)
		timer.Reset(max(pause, 0))
	}
}

const queueFull = "the recorder's queue was full"

// mustWait returns why the next walk cannot begin yet, "" if it can.
func (p *Proc) mustWait(q *queue) string {
	switch {
	case q.full():
		return queueFull
	case p.cfg.Allowance.empty(p.cfg.Clock()):
		return overShare
	}
	return ""
}

// skippedWalks are walks that no gap record has yet.
type skippedWalks struct {
	walks uint64
	why   string // of the last one
	since int64  // end of the last complete walk before the first one
}

// gap records walks that were skipped.
func (p *Proc) gap(q *queue, s *skippedWalks) {
	if s.walks > 0 {
		q.add(capture.KindGap, p.cfg.Clock(), &capture.Gap{Lost: s.walks, Exact: true, Since: s.since,
			Why: fmt.Sprintf("%d walks of /proc were skipped: %s", s.walks, s.why)})
		*s = skippedWalks{}
	}
}

// skip counts walks that were skipped; before them, the last complete walk ended
// at since.
func (p *Proc) skip(s *skippedWalks, walks uint64, why string, since int64) {
	if walks == 0 {
		return
	}
	if s.walks == 0 {
		s.since = since
	}
	s.walks, s.why = s.walks+walks, why
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Lost += walks
	p.stats.Why = "walks of /proc are skipped: " + why
}

// count counts tables that were read or found unchanged.
func (p *Proc) count(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Received += n
}

// blindWhy returns why processes or their sockets cannot be seen, "" if all can.
// The pids are those that are listed; hidden ones of all cannot be read.
func (p *Proc) blindWhy(pids []uint32, hidden, all int) string {
	if why := unlistedWhy(p.cfg.Root, pids); why != "" {
		return why
	}
	return hiddenWhy(hidden, all)
}

// setWhy sets why the source is degraded after a complete walk, if it is. When processes
// become hidden or visible, another source record says so.
func (p *Proc) setWhy(q *queue, w *walk, took, period time.Duration) {
	if !w.complete {
		return // it does not show what is hidden
	}
	var why []string
	blind := p.blindWhy(w.pids, int(w.partial), int(w.visited))
	if (blind == "") != (p.source.Why == "") {
		p.source.Why = blind
		q.add(capture.KindSource, p.cfg.Clock(), &p.source)
		q.flush()
	}
	if blind != "" {
		why = append(why, blind)
	}
	if period > p.cfg.Interval+p.cfg.Interval/4 {
		why = append(why, fmt.Sprintf("walks every %.1f s: a walk over %d processes in %d namespaces took %.0f ms of a core, and %.3g %% of it is the limit",
			period.Seconds(), w.visited, len(w.groups), float64(took)/1e6, 100*p.cfg.Share))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Why = strings.Join(why, "; ")
}

// Stats counts in Received the tables that were read or found unchanged, in
// Lost the walks that were skipped.
func (p *Proc) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// threadTime returns the CPU time that the calling thread has used.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
