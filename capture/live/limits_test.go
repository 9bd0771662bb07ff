package live

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/topotape/topotape/capture/collect"
)

// noise sends events that do not compress, until it is stopped.
func noise() *fake {
	f := &fake{}
	f.run = func(ctx context.Context, out chan<- *collect.Batch) error {
		x := uint64(88172645463325252)
		for ctx.Err() == nil {
			b := &collect.Batch{}
			for range 100 {
				e := event(0)
				e.Payload = make([]byte, 1000)
				for i := range e.Payload {
					x ^= x << 13
					x ^= x >> 7
					x ^= x << 17
					e.Payload[i] = byte(x)
				}
				b.Records = append(b.Records, e)
			}
			f.received.Add(uint64(len(b.Records)))
			out <- b
		}
		return nil
	}
	return f
}

func TestSizeIsALimit(t *testing.T) {
	o := options(t)
	o.MaxSize = 4 << 20
	summary, err := record(t.Context(), o, fakeMachine(conntrackSource(noise())))
	if err != nil || !summary.Closed || !strings.Contains(summary.Why, "size of 4.0 MiB") {
		t.Fatalf("summary %+v, error %v", summary, err)
	}
	// The batches that collectors send while they stop come on top.
	if over := summary.Bytes - o.MaxSize; over > int64(queueLen+2)*110_000 || over < -600_000 {
		t.Errorf("%d bytes for a limit of %d", summary.Bytes, o.MaxSize)
	}
}

func TestDurationIsALimit(t *testing.T) {
	o := options(t)
	o.Duration = 100 * time.Millisecond
	summary, err := record(t.Context(), o, fakeMachine(conntrackSource(newFakeConntrack())))
	if err != nil || !summary.Closed || !strings.Contains(summary.Why, "duration of 100ms") || summary.Duration < o.Duration || summary.Duration > time.Minute {
		t.Errorf("summary %+v, error %v", summary, err)
	}
}
