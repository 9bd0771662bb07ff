package collect

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// ClosesConfig configures the recording of closed sockets. Only Clock has no default.
type ClosesConfig struct {
	Source    uint32        // number that the records carry
	Clock     Clock         // stamps the records
	Buffer    int           // bytes of socket buffer to request; 0 is 16 MiB; the kernel grants twice as much
	Interval  time.Duration // between two gap records; 0 is 3 s
	Allowance *Allowance    // of the tape; nil has no bound
}

// Closes records the TCP sockets of its network namespace that are closed, with what they carried. The kernel makes a
// message for each: a close costs the host about a third more, 8 us instead of 6 on 6.18.
type Closes struct {
	cfg    ClosesConfig
	events eventSocket
	file   *os.File // the socket
	conn   syscall.RawConn
	source capture.Source

	received atomic.Uint64
	losses   losses
}

// NewCloses returns a collector that is not open yet.
func NewCloses(cfg ClosesConfig) *Closes {
	if cfg.Buffer <= 0 {
		cfg.Buffer = 16 << 20
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 3 * time.Second
	}
	return &Closes{cfg: cfg, losses: newLosses(cfg.Interval)}
}

// Groups of NETLINK_SOCK_DIAG (include/uapi/linux/sock_diag.h).
const (
	groupClosed  = 1 // SKNLGRP_INET_TCP_DESTROY
	groupClosed6 = 3 // SKNLGRP_INET6_TCP_DESTROY
)

// Open subscribes to the closed sockets of the calling thread's network namespace.
func (c *Closes) Open() error {
	if err := checkDiag(); err != nil {
		return fmt.Errorf("closes: %w", err)
	}
	fd, err := diagSocket()
	if err != nil {
		return fmt.Errorf("closes: %w", err)
	}
	c.file = os.NewFile(uintptr(fd), "closes")
	if c.conn, err = c.file.SyscallConn(); err == nil {
		err = c.events.open(fd, c.cfg.Buffer, groupClosed, groupClosed6)
	}
	if err != nil {
		c.file.Close()
		return fmt.Errorf("closes: %w", err)
	}
	c.losses.looked = c.cfg.Clock()
	c.source = capture.Source{Open: true, Kind: capture.SourceCloses, Netns: netnsInode(), Buffer: uint64(c.events.buffer)}
	if got := c.events.buffer / 2; got < c.cfg.Buffer {
		c.source.Why = fmt.Sprintf("the socket buffer is %d bytes where %d were asked for: run with CAP_NET_ADMIN, or raise net.core.rmem_max", got, c.cfg.Buffer)
	}
	return nil
}

// checkDiag checks that the kernel answers a request for TCP sockets. If it has no handler for them, it reports no closed
// ones either.
func checkDiag() error {
	fd, err := diagSocket()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, diagRequest("tcp"), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	answer := make([]byte, diagRoom)
	n, err := read(fd, answer)
	if err != nil {
		return os.NewSyscallError("read", err)
	}
	if n < unix.NLMSG_HDRLEN || binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		return errors.New("the kernel has no sock_diag for TCP: modprobe tcp_diag")
	}
	return nil
}

// Describe returns lines about what the open collector would see.
func (c *Closes) Describe() []string {
	return []string{fmt.Sprintf("closed TCP sockets of network namespace %d, socket buffer %d bytes: about %d sockets; each close costs the host about a third more",
		c.source.Netns, c.source.Buffer, int(c.source.Buffer)/eventTruesize)}
}

// Run records until ctx is done, then the messages that are queued.
func (c *Closes) Run(ctx context.Context, out chan<- *Batch) error {
	defer c.file.Close()
	stop := context.AfterFunc(ctx, func() { c.file.SetReadDeadline(time.Now()) })
	defer stop()
	free := newPool(eventBatches, eventSlots*eventSlot, eventSlots+8)
	b := free.get()
	c.add(b, capture.KindSource, &c.source)
	for stopped := (time.Time{}); ; {
		if ctx.Err() != nil && stopped.IsZero() {
			stopped = time.Now()
		}
		stopping := !stopped.IsZero()
		n, err := c.receive(b)
		if err != nil {
			return fmt.Errorf("closes: %w", err)
		}
		last := stopping && (n < eventSlots || time.Since(stopped) > time.Second)
		if err := c.checkLoss(b, last); err != nil {
			return fmt.Errorf("closes: %w", err)
		}
		if len(b.Records) > 0 {
			out <- b
			b = free.get()
		}
		switch {
		case last:
			return nil
		case n == eventSlots || stopping:
		case n > 0:
			pause(ctx, drainPause)
		default:
			if err := c.wait(ctx); err != nil {
				return fmt.Errorf("closes: %w", err)
			}
		}
	}
}

// pause sleeps, so that many messages share the cost of a wake-up.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wait waits for a message, for the end of ctx, or until a gap record is due.
func (c *Closes) wait(ctx context.Context) error {
	var deadline time.Time
	if c.losses.pending() {
		deadline = time.Now().Add(c.cfg.Interval)
	}
	c.file.SetReadDeadline(deadline)
	if ctx.Err() != nil {
		c.file.SetReadDeadline(time.Now())
	}
	err := c.conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// receive adds records of the messages that are queued, up to eventSlots, as far as the allowance goes, and returns how many
// there were.
func (c *Closes) receive(b *Batch) (int, error) {
	arena := b.arena[:cap(b.arena)]
	n, err := c.events.receive(arena)
	for i := range n {
		now := c.cfg.Clock()
		if c.cfg.Allowance.empty(now) {
			c.losses.refuse(now)
			continue
		}
		msg, _ := c.events.message(arena, i) // the room is three times the kernel's message
		c.cfg.Allowance.spend(len(msg)+recordOverhead, now)
		b.Records = append(b.Records, capture.Record{At: now, Kind: capture.KindSocketClose, Source: c.cfg.Source, Payload: msg})
		c.received.Add(1)
	}
	return n, err
}

// checkLoss counts what the kernel dropped since the last call, and adds the gaps that are due.
func (c *Closes) checkLoss(b *Batch, last bool) error {
	now := c.cfg.Clock()
	lost, err := c.events.lost()
	if err != nil {
		return err
	}
	c.losses.overflow(uint64(lost), now)
	for _, gap := range c.losses.gaps(now, last) {
		c.add(b, capture.KindGap, gap)
	}
	return nil
}

func (c *Closes) add(b *Batch, kind capture.Kind, p capture.Payload) {
	b.Records = append(b.Records, capture.Record{At: c.cfg.Clock(), Kind: kind, Source: c.cfg.Source, Payload: capture.AppendPayload(nil, p)})
}

// Stats counts in Received the sockets that were recorded. A loss degrades the source for a minute.
func (c *Closes) Stats() Stats {
	s := Stats{Received: c.received.Load(), Lost: c.losses.total.Load(), Why: c.source.Why}
	if why := c.losses.why("closed sockets", c.cfg.Clock()); why != "" {
		s.Why = why
	}
	return s
}
