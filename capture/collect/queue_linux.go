package collect

import (
	"time"

	"github.com/topotape/topotape/capture"
)

// What the queue's batches hold, and how many of them there are.
const (
	queueBatches = 8
	queueRecords = 1024
)

// A queue makes batches of records that are encoded here. It holds at most
// queueBatches of them, each of one record more than maxPart bytes at most.
type queue struct {
	source  uint32
	out     chan<- *Batch
	home    chan *Batch
	made    int
	b       *Batch
	size    int           // bytes in b
	blocked time.Duration // how long flush waited for the receiver
}

func newQueue(source uint32, out chan<- *Batch) *queue {
	return &queue{source: source, out: out, home: make(chan *Batch, queueBatches)}
}

// add appends one record to the batch in the making.
func (q *queue) add(kind capture.Kind, at int64, p capture.Payload) {
	if q.b == nil {
		q.b = q.take()
	}
	payload := capture.AppendPayload(nil, p)
	q.size += len(payload)
	q.b.Records = append(q.b.Records, capture.Record{At: at, Kind: kind, Source: q.source, Payload: payload})
}

// take waits until a batch is released when all are on their way.
func (q *queue) take() *Batch {
	select {
	case b := <-q.home:
		return b
	default:
	}
	if q.made < queueBatches {
		q.made++
		return &Batch{home: q.home}
	}
	start := time.Now()
	b := <-q.home
	q.blocked += time.Since(start)
	return b
}

// full says that the next batch would have to wait.
func (q *queue) full() bool {
	return cap(q.out) > 0 && len(q.out) == cap(q.out) || q.b == nil && q.made == queueBatches && len(q.home) == 0
}

// flushFull sends the batch when it is big enough.
func (q *queue) flushFull() {
	if q.size >= maxPart || len(q.b.Records) >= queueRecords {
		q.flush()
	}
}

// flush sends what is there. Whoever receives does so until Run has returned.
func (q *queue) flush() {
	if q.b == nil || len(q.b.Records) == 0 {
		return
	}
	start := time.Now()
	q.out <- q.b
	q.blocked += time.Since(start)
	q.b, q.size = nil, 0
}
