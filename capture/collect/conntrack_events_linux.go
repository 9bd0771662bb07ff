package collect

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

const (
	// eventBatches is how many batches of events exist: with eventSlots and
	// eventSlot it bounds the memory of events.
	eventBatches = 6
	// drainPause is how long the receiver sleeps while messages come. The sleep
	// is shorter if drainRate would fill the socket buffer in that time.
	drainPause = 10 * time.Millisecond
	drainRate  = 200_000 // events a second
)

// receive moves events from the kernel to out until the marks' stop, then the
// events that are queued. It decodes nothing and, in steady state, allocates
// nothing.
func (c *Conntrack) receive(out chan<- *Batch) error {
	free := newPool(eventBatches, eventSlots*eventSlot, eventSlots+8)
	sleep, err := newSleeper()
	if err != nil {
		return err
	}
	defer sleep.file.Close()
	b := free.get()
	c.add(b, capture.KindSource, &c.source)
	pause := min(drainPause, time.Second/drainRate*time.Duration(c.events.buffer/eventTruesize))
	stopping := time.Time{}
	for {
		arena := b.arena[:cap(b.arena)]
		n, err := c.events.receive(arena)
		if err != nil {
			return err
		}
		c.addMessages(b, arena, n)
		if err := c.checkLoss(b); err != nil {
			return err
		}
		empty := n < eventSlots
		stop := c.marks.apply(c, b, empty)
		c.shedEvents(b, stop)
		if len(b.Records) > 0 || b.Drained > 0 {
			out <- b
			c.marks.sent()
			b = free.get()
		}
		if stop && stopping.IsZero() {
			stopping = time.Now()
		}
		if stop && (empty || time.Since(stopping) > time.Second) {
			return nil
		}
		if !empty {
			continue
		}
		if n > 0 {
			err = sleep.pause(pause)
		} else {
			err = c.idle()
		}
		if err != nil {
			return err
		}
	}
}

// idle waits for the next message or the next request to the mark queue.
func (c *Conntrack) idle() error {
	runtime.Gosched() // the recorder runs first: this thread keeps its P in the raw system call
	fds := [...]unix.PollFd{
		{Fd: int32(c.marks.wake), Events: unix.POLLIN},
		{Fd: int32(c.events.fd), Events: unix.POLLIN},
	}
	n, err := unix.Ppoll(fds[:], nil, nil)
	if err != nil && err != unix.EINTR {
		return os.NewSyscallError("ppoll", err)
	}
	if n > 0 && fds[0].Revents != 0 {
		c.marks.woken()
	}
	return nil
}

// addMessages adds records of the n datagrams that were received into the arena.
func (c *Conntrack) addMessages(b *Batch, arena []byte, n int) {
	if n == 0 {
		return
	}
	now := c.cfg.Clock()
	var received, cut uint64
	begun, bytes := len(b.Records), 0
	for i := range n {
		datagram, truncated := c.events.message(arena, i)
		if truncated {
			cut++
			continue
		}
		for len(datagram) > 0 {
			var msg []byte
			msg, datagram = nextMessage(datagram)
			b.Records = append(b.Records, capture.Record{At: now, Kind: capture.KindConntrack, Source: c.cfg.Source, Payload: msg})
			received++
			bytes += len(msg)
		}
	}
	if c.shed.active {
		b.Records = b.Records[:begun]
		c.shed.lost += received
		c.count.lost.Add(received)
		received = 0
	} else {
		c.cfg.Allowance.spend(bytes, now)
	}
	c.count.received.Add(received)
	if cut > 0 {
		c.gap(b, cut, fmt.Sprintf("messages of more than %d bytes", eventSlot))
	}
}

// checkLoss adds a gap if the kernel's count of drops has grown.
func (c *Conntrack) checkLoss(b *Batch) error {
	now := c.cfg.Clock()
	lost, err := c.events.lost()
	if err != nil {
		return err
	}
	if lost > 0 {
		c.gap(b, uint64(lost), "the socket buffer was full")
	}
	c.looked = now
	return nil
}

func (c *Conntrack) gap(b *Batch, lost uint64, why string) {
	c.add(b, capture.KindGap, &capture.Gap{Lost: lost, Exact: true, Why: why, Since: c.looked})
	c.count.lost.Add(lost)
	c.lost.note(time.Now())
}

// add appends a record that the collector makes itself.
func (c *Conntrack) add(b *Batch, kind capture.Kind, p capture.Payload) {
	b.Records = append(b.Records, capture.Record{
		At: c.cfg.Clock(), Kind: kind, Source: c.cfg.Source, Payload: capture.AppendPayload(nil, p),
	})
}
