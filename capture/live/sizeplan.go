package live

import (
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
)

// A sizePlan divides the size of the tape among the sources and the time, so that
// a flood of one source neither ends the recording nor starves the others.
//
// While the tape is smaller than planned for the time, no source is limited: the
// recorder refills the allowances. When it is larger, each source has its share of
// half the rate that fills the tape in its duration. In eighths of the size: one
// is free at the start, four come evenly, one is in the allowances and up to one
// on the way to the tape when the last refill ends. The rest is a reserve, since
// what a record takes on the tape is an estimate.
type sizePlan struct {
	size     float64 // bytes of the tape
	duration float64 // seconds
}

// Without a limit of size or duration, the plan has the rate of the default ones.
const (
	defaultDuration = 10 * time.Minute
	defaultSize     = 1 << 30
)

func newSizePlan(o *Options) sizePlan {
	p := sizePlan{size: float64(o.MaxSize), duration: o.Duration.Seconds()}
	if o.Duration <= 0 {
		p.duration = defaultDuration.Seconds()
	}
	if o.MaxSize <= 0 {
		p.size = defaultSize * p.duration / defaultDuration.Seconds()
	}
	return p
}

// planned returns the size that the tape may have after a time before the shares
// of the sources limit them.
func (p sizePlan) planned(elapsed time.Duration) int64 {
	return int64(p.size * (1./8 + min(1, elapsed.Seconds()/p.duration)/2))
}

// sourceShare returns the share of a kind of source, and about how many bytes of its
// records take one byte on the tape. DNS packets are counted in full: those of a
// flood do not compress.
func sourceShare(kind string) (share, compressed float64) {
	switch kind {
	case capture.SourceConntrack:
		return 8, 8
	case capture.SourceProc:
		return 3, 5
	case capture.SourceDNS:
		return 4, 1
	case capture.SourceSockets:
		return 4, 6
	case capture.SourceCloses:
		return 2, 8
	}
	return 1, 2
}

// bucket returns the size of the allowance of one of the sources, in bytes of tape,
// and its bytes a second.
func (p sizePlan) bucket(kind string, sources []string) (size, rate float64) {
	all := 0.
	for _, k := range sources {
		s, _ := sourceShare(k)
		all += s
	}
	own, _ := sourceShare(kind)
	bytes := p.size * own / all
	return bytes / 8, bytes / 2 / p.duration
}

// allowance makes the allowance of one of the sources.
func (p sizePlan) allowance(kind string, sources []string) *collect.Allowance {
	size, rate := p.bucket(kind, sources)
	_, compressed := sourceShare(kind)
	return collect.NewAllowance(size*compressed, rate*compressed)
}

// refill refills the allowances while the tape is smaller than planned.
func (r *recorder) refill() {
	if r.tape.Size()+int64(r.tape.Pending()) > r.plan.planned(time.Since(r.begun)) {
		return
	}
	for _, s := range r.sources {
		s.allowance.Refill()
	}
}
