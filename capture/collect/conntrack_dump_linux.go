package collect

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

const (
	dumpBatches = 4
	dumpArena   = 8 * tableDatagram
	dumpSlots   = 2048

	lossQuiet   = 100 * time.Millisecond // a dump waits until nothing was lost for this long,
	lossPatient = 5 * time.Second        // but at most this long after the first loss
	dumpPause   = time.Second            // between two dumps at least,
	dumpShare   = 4                      // and at least this many times as long as the last one took
	dumpRetry   = 10 * time.Second       // after a failed dump
)

// A lossWatch remembers losses that no dump has repaired yet.
type lossWatch struct {
	mu          sync.Mutex
	first, last time.Time
	noticed     chan struct{}
}

func newLossWatch() lossWatch { return lossWatch{noticed: make(chan struct{}, 1)} }

func (l *lossWatch) note(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first.IsZero() {
		l.first = now
	}
	l.last = now
	select {
	case l.noticed <- struct{}{}:
	default:
	}
}

// repaired forgets the losses so far.
func (l *lossWatch) repaired() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first, l.last = time.Time{}, time.Time{}
}

func (l *lossWatch) seen() (first, last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, l.last
}

// A dumpPlan decides when the next dump is due.
type dumpPlan struct {
	reconcile time.Duration
	next      time.Time // if nothing is lost
	earliest  time.Time // after a loss
}

// due returns when the next dump should begin, given the times of the first and
// the last loss that no dump has repaired; zero times if there is none.
func (p *dumpPlan) due(first, last time.Time) time.Time {
	if first.IsZero() {
		return p.next
	}
	at := last.Add(lossQuiet)
	if limit := first.Add(lossPatient); at.After(limit) {
		at = limit
	}
	if at.Before(p.earliest) {
		at = p.earliest
	}
	if p.next.Before(at) {
		return p.next
	}
	return at
}

// done updates the plan after a dump.
func (p *dumpPlan) done(begun, ended time.Time, failed bool) {
	p.earliest = ended.Add(max(dumpPause, dumpShare*ended.Sub(begun)))
	p.next = ended.Add(p.reconcile)
	if failed {
		p.next = ended.Add(min(p.reconcile, dumpRetry))
	}
}

// dumpLoop dumps the table at the start, after losses, and once in every
// reconcile interval.
func (c *Conntrack) dumpLoop(ctx context.Context, out chan<- *Batch) error {
	free := newPool(dumpBatches, dumpArena, dumpSlots)
	plan := dumpPlan{reconcile: c.cfg.Reconcile, next: time.Now()}
	for number := uint64(1); c.awaitDump(ctx, &plan); number++ {
		begun := time.Now()
		c.lost.repaired()
		whole, err := c.dump(ctx, number, free, out)
		if number == 1 {
			c.cfg.Allowance.Refill() // the table must be on the tape once
		}
		if err != nil {
			return err
		}
		plan.done(begun, time.Now(), !whole)
	}
	return nil
}

// awaitDump waits until a dump is due. It returns false when ctx is done.
func (c *Conntrack) awaitDump(ctx context.Context, plan *dumpPlan) bool {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait := time.Until(plan.due(c.lost.seen()))
		if wait <= 0 {
			if c.cfg.Allowance.left(c.cfg.Clock()) >= shedUntil {
				return true
			}
			wait = dumpPause
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-c.lost.noticed:
		}
	}
	return false
}

// dump records one dump of the table, with its begin and end. If the dump fails,
// its end record says why; the error is only for the end of the receiver.
func (c *Conntrack) dump(ctx context.Context, number uint64, free *pool, out chan<- *Batch) (whole bool, err error) {
	if err := c.marks.put(capture.KindDumpBegin, &capture.ConntrackDump{Number: number}); err != nil {
		return false, err
	}
	entries, err := c.readTable(ctx, free, out)
	end := &capture.ConntrackDump{Number: number, Entries: entries}
	if err != nil {
		end.Failed = err.Error()
		if errors.Is(err, unix.EPERM) {
			end.Failed = "dumping the table needs CAP_NET_ADMIN"
		}
	}
	if !errors.Is(err, errStopped) {
		c.why.dump.Store(&end.Failed)
	}
	return end.Failed == "", c.marks.put(capture.KindDumpEnd, end)
}

var errStopped = errors.New("the recording stopped")

// readTable requests a dump and sends its entries to out.
func (c *Conntrack) readTable(ctx context.Context, free *pool, out chan<- *Batch) (entries uint64, err error) {
	if err := c.table.request(ctGet, unix.NLM_F_DUMP); err != nil {
		return 0, err
	}
	b := free.get()
	for err == nil {
		if cap(b.arena)-len(b.arena) < tableDatagram {
			entries += c.send(b, out)
			b = free.get()
		}
		used := len(b.arena)
		datagram := b.arena[used : used+tableDatagram]
		now := c.cfg.Clock()
		var n int
		n, err = c.table.read(datagram, func(msg []byte) {
			b.Records = append(b.Records, capture.Record{At: now, Kind: capture.KindDumpEntry, Source: c.cfg.Source, Payload: msg})
		})
		b.arena = b.arena[:used+n]
		if err == nil && ctx.Err() != nil {
			err = errStopped
		}
	}
	entries += c.send(b, out)
	switch {
	case errors.Is(err, errDumpDone):
		err = nil
	case !errors.Is(err, errStopped):
		c.table.discard(make([]byte, tableDatagram))
	}
	return entries, err
}

// send sends a batch, unless it is empty, and returns how many records it has.
func (c *Conntrack) send(b *Batch, out chan<- *Batch) uint64 {
	n := uint64(len(b.Records))
	c.count.received.Add(n)
	c.cfg.Allowance.spend(len(b.arena), c.cfg.Clock())
	if n == 0 {
		b.Release()
		return 0
	}
	out <- b
	return n
}
