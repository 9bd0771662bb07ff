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

// markWait is how long a mark waits for the socket to be empty when messages
// come faster than they are read.
const markWait = 40 * time.Millisecond

// A markQueue is how other goroutines put something into the order of the
// events: it takes effect when the receiver has seen the socket empty.
type markQueue struct {
	wake int // eventfd that ends the receiver's idling; its pauses are short

	mu      sync.Mutex
	opened  bool
	pending bool // something below is set: looked at first
	since   time.Time
	drained uint64
	marks   []pendingMark
	adding  []chan struct{} // of the marks in the receiver's batch; its own
	stopped bool
	failed  bool
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
		unix.Write(q.wake, one[:]) // EAGAIN: it is awake already
	}
}

func (q *markQueue) drain(n uint64) { q.change(func() { q.drained = max(q.drained, n) }) }
func (q *markQueue) stop()          { q.change(func() { q.stopped = true }) }

// put waits until the receiver has sent a record with that payload.
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

// fail lets everyone go who waits for a receiver that has ended.
func (q *markQueue) fail() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = true
	for _, m := range q.marks {
		close(m.done)
	}
	q.marks = nil
}

// woken takes the wake-up back, so that the next sleep is one.
func (q *markQueue) woken() {
	var n [8]byte
	unix.Read(q.wake, n[:])
}

// honour adds to the batch what was asked for, if the socket is empty or has
// not been for long. The marks are acknowledged by sent. It reports whether the
// receiver is to stop.
func (q *markQueue) honour(c *Conntrack, b *Batch, empty bool) (stop bool) {
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
	b.Drained, q.drained = q.drained, 0
	q.marks, q.pending = q.marks[:0], false
	return q.stopped
}

// sent tells those who put marks that their batch was handed over.
func (q *markQueue) sent() {
	for _, done := range q.adding {
		close(done)
	}
	q.adding = q.adding[:0]
}
