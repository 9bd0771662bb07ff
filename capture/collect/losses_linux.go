package collect

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/topotape/topotape/capture"
)

// losses counts what a collector lost, and when its gap records are due. A loss degrades the source for a minute.
type losses struct {
	interval  time.Duration // between two gap records of one reason: a flood would make one for every batch
	looked    int64         // when the kernel's count of drops was last read
	gapped    int64         // when the last gap was recorded
	overflown loss          // in the socket buffer
	refused   loss          // by the allowance

	total atomic.Uint64
	last  atomic.Pointer[lastLoss]
}

func newLosses(interval time.Duration) losses {
	return losses{interval: interval, gapped: -int64(interval)}
}

// A loss is a number of records that no gap record has yet.
type loss struct {
	count uint64
	since int64 // when none of them was lost yet
}

type lastLoss struct {
	at  int64
	why string
}

// add counts records that were lost after a time.
func (l *loss) add(n uint64, since int64) {
	if l.count == 0 {
		l.since = since
	}
	l.count += n
}

const bufferFull = "the socket buffer was full"

// overflow counts what the kernel dropped since the last call.
func (l *losses) overflow(n uint64, now int64) {
	if n > 0 {
		l.overflown.add(n, l.looked)
		l.note(n, now, bufferFull)
	}
	l.looked = now
}

// refuse counts a record for which the allowance has no room.
func (l *losses) refuse(now int64) {
	l.refused.add(1, now)
	l.note(1, now, overShare)
}

func (l *losses) note(n uint64, now int64, why string) {
	l.total.Add(n)
	if last := l.last.Load(); last == nil || last.why != why || now-last.at > int64(time.Second) {
		l.last.Store(&lastLoss{now, why})
	}
}

// pending reports whether a loss waits for its gap record.
func (l *losses) pending() bool { return l.overflown.count > 0 || l.refused.count > 0 }

// gaps returns the gap records that are due: all at the end, as last.
func (l *losses) gaps(now int64, last bool) (list []*capture.Gap) {
	if !last && now-l.gapped < int64(l.interval) {
		return nil
	}
	for _, of := range [...]struct {
		*loss
		why string
	}{{&l.overflown, bufferFull}, {&l.refused, overShare}} {
		if of.count > 0 {
			list = append(list, &capture.Gap{Lost: of.count, Exact: true, Why: of.why, Since: of.since})
			*of.loss = loss{}
			l.gapped = now
		}
	}
	return list
}

// why returns that records were lost in the last minute, "" if none were. things names them.
func (l *losses) why(things string, now int64) string {
	if last := l.last.Load(); last != nil && now-last.at < int64(time.Minute) {
		return fmt.Sprintf("%d %s were lost: %s", l.total.Load(), things, last.why)
	}
	return ""
}
