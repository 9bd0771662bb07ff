package collect

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// markWait bounds how long a request waits for an empty socket when messages
// come faster than they are read.
const markWait = 40 * time.Millisecond

// A markQueue gives requests of other goroutines a place in the order of the
// events: the receiver applies them when it has seen the socket empty. A mark is
// a record that is added there: the begin or the end of a dump.
type markQueue struct {
	wake int // eventfd that ends the receiver's idle; its pauses are short

	mu      sync.Mutex
	opened  bool
	pending bool      // there is a request
	since   time.Time // of the first one
	drained uint64    // number of the last drain request
	marks   []pendingMark
	adding  []chan struct{} // of the marks in the receiver's batch; only the receiver uses it
	stopped bool
	failed  bool // the receiver has ended
}

type pendingMark struct {
	kind    capture.Kind
	payload capture.Payload
	done    chan struct{}
}

var errReceiverGone = errors.New("the events are no longer received")

func (q *markQueue) open() error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	q.wake, q.opened = fd, true
	return nil
}

func (q *markQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.opened {
		unix.Close(q.wake)
		q.opened = false
	}
}

// change applies f and wakes the receiver.
func (q *markQueue) change(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
	if !q.pending {
		q.pending, q.since = true, time.Now()
	}
	if q.opened {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		unix.Write(q.wake, one[:]) // EAGAIN: the receiver is already awake
	}
}

// drain requests that the next batch after an empty socket has Drained n.
func (q *markQueue) drain(n uint64) { q.change(func() { q.drained = max(q.drained, n) }) }

// stop requests that the receiver stops after an empty socket.
func (q *markQueue) stop() { q.change(func() { q.stopped = true }) }

// put adds a mark and waits until the receiver has sent it.
func (q *markQueue) put(kind capture.Kind, p capture.Payload) error {
	done := make(chan struct{})
	q.change(func() {
		if !q.failed {
			q.marks = append(q.marks, pendingMark{kind, p, done})
		} else {
			close(done)
		}
	})
	<-done
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed {
		return errReceiverGone
	}
	return nil
}

// fail makes put return for all who wait for a receiver that has ended.
func (q *markQueue) fail() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = true
	for _, m := range q.marks {
		close(m.done)
	}
	q.marks = nil
}

// woken resets the eventfd, so that the next idle waits again.
func (q *markQueue) woken() {
	var n [8]byte
	unix.Read(q.wake, n[:])
}

// apply adds the requested marks to the batch and sets its Drained, if the socket
// is empty or the requests have waited for markWait. It reports whether the
// receiver must stop. The caller calls sent when the batch was sent.
func (q *markQueue) apply(c *Conntrack, b *Batch, empty bool) (stop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.pending {
		return q.stopped
	}
	if !empty && time.Since(q.since) < markWait {
		return false
	}
	for _, m := range q.marks {
		c.add(b, m.kind, m.payload)
		q.adding = append(q.adding, m.done)
	}
	b.Drained, b.Source, q.drained = q.drained, c.cfg.Source, 0
	q.marks, q.pending = q.marks[:0], false
	return q.stopped
}

// sent makes put return for the marks that apply added.
func (q *markQueue) sent() {
	for _, done := range q.adding {
		close(done)
	}
	q.adding = q.adding[:0]
}
