package collect

import (
	"context"

	"github.com/topotape/topotape/capture"
)

// A Batch is what crosses the seam between a collector and the scribe: records
// in the order in which the source delivered them, not yet numbered (Seq 0),
// with their payloads in one arena. It holds bytes and fixed headers only, so
// that it could as well cross a socketpair.
type Batch struct {
	Records []capture.Record
	// Drained is the number of the last Conntrack.Drain request that was
	// honoured before this batch was sent; 0 in all other batches.
	Drained uint64

	arena []byte
	home  chan *Batch
}

// Release gives the batch back to the collector that made it. Its records must
// not be used any more.
func (b *Batch) Release() {
	b.Records, b.arena, b.Drained = b.Records[:0], b.arena[:0], 0
	select {
	case b.home <- b:
	default:
	}
}

// A Collector is one source: the kernel side of recording.
type Collector interface {
	// Open acquires what the host must grant (sockets, buffers, directories)
	// and loses nothing from then on. The error says what the host lacks and
	// what to do about it, in one line.
	Open() error
	// Run sends batches to out until ctx is done, then what is still pending,
	// and releases what Open acquired. It returns nil when it was told to stop.
	Run(ctx context.Context, out chan<- *Batch) error
	// Stats may be called from any goroutine at any time.
	Stats() Stats
}

// Stats of one collector since Open.
type Stats struct {
	Received uint64 // messages, readings or packets that the kernel delivered
	Lost     uint64 // that it did not deliver, by its own count
	Why      string // why the source is degraded at the moment, "" when it is not
}

// A Clock tells the nanoseconds of CLOCK_BOOTTIME since the recording's start.
type Clock func() int64
