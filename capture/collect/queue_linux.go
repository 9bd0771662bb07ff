package collect

import (
	"time"

	"github.com/topotape/topotape/capture"
)

// Limits of the batches of a queue.
const (
	queueBatches = 8
	queueRecords = 1024 // of a full batch
)

// A queue encodes records and sends them in batches. Its memory is bounded by
// queueBatches batches, each of maxPart bytes and one more record.
type queue struct {
	source  uint32
	out     chan<- *Batch
	free    *pool
	b       *Batch
	size    int           // bytes in b
	added   int           // bytes of all records so far
	blocked time.Duration // time that the queue has waited for the receiver
}

func newQueue(source uint32, out chan<- *Batch) *queue {
	return &queue{source: source, out: out, free: newPool(queueBatches, 0, 0)}
}

// add appends one record to the open batch.
func (q *queue) add(kind capture.Kind, at int64, p capture.Payload) {
	if q.b == nil {
		start := time.Now()
		q.b = q.free.get()
		q.blocked += time.Since(start)
	}
	payload := capture.AppendPayload(nil, p)
	q.size += len(payload)
	q.added += len(payload) + recordOverhead
	q.b.Records = append(q.b.Records, capture.Record{At: at, Kind: kind, Source: q.source, Payload: payload})
}

// full reports whether the next batch would have to wait.
func (q *queue) full() bool {
	return cap(q.out) > 0 && len(q.out) == cap(q.out) || q.b == nil && q.free.used()
}

// flushFull sends the open batch if it is full.
func (q *queue) flushFull() {
	if q.size >= maxPart || len(q.b.Records) >= queueRecords {
		q.flush()
	}
}

// flush sends the open batch.
func (q *queue) flush() {
	if q.b == nil || len(q.b.Records) == 0 {
		return
	}
	start := time.Now()
	q.out <- q.b
	q.blocked += time.Since(start)
	q.b, q.size = nil, 0
}
