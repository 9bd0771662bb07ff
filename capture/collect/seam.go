package collect

import (
	"context"

	"github.com/topotape/topotape/capture"
)

// A Batch carries records from a collector to the recorder: in the order in
// which the source delivered them, not yet numbered (Seq 0).
type Batch struct {
	Records []capture.Record
	// Drained is the number of the last request to the Drain of a collector that was
	// done before this batch was sent, and Source is that collector's source; 0 in all
	// other batches.
	Drained uint64
	Source  uint32

	arena []byte      // of the payloads
	home  chan *Batch // where Release puts the batch
}

// Release returns the batch to the collector that made it. Its records must not
// be used after that.
func (b *Batch) Release() {
	b.Records, b.arena, b.Drained, b.Source = b.Records[:0], b.arena[:0], 0, 0
	select {
	case b.home <- b:
	default:
	}
}

// A Collector records one source.
type Collector interface {
	// Open acquires what the host must grant (sockets, buffers, directories).
	// From then on every loss is counted. The error says in one line what the
	// host lacks and what to do about it.
	Open() error
	// Run sends batches to out until ctx is done, then the pending records, and
	// releases what Open acquired. It returns nil if ctx ended it.
	Run(ctx context.Context, out chan<- *Batch) error
	// Stats may be called from any goroutine at any time.
	Stats() Stats
}

// Stats of one collector since Open.
type Stats struct {
	Received uint64 // messages, tables, packets or names
	Lost     uint64 // messages, walks, packets or addresses
	Why      string // why the source is degraded at the moment, "" if it is not
}

// A Clock returns the nanoseconds of CLOCK_BOOTTIME since the recording's start.
type Clock func() int64
