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
	"unsafe"

	"github.com/topotape/topotape/capture"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	dnsSlots   = 32           // packets that one recvmmsg receives at most
	dnsBatches = 16           // in use at most
	dnsRecords = 8 * dnsSlots // of a full batch
	// dnsPause is how long the collector sleeps after a packet, so that many
	// packets share the cost of a wake-up.
	dnsPause = 5 * time.Millisecond
)

// DNS records every DNS packet that any interface of its network namespace
// sees, in both directions: each packet twice on loopback, and once for every
// interface that it passes on a bridge.
type DNS struct {
	cfg    DNSConfig
	source capture.Source
	file   *os.File // the socket
	conn   syscall.RawConn

	hdrs []mmsghdr
	iovs []unix.Iovec
	from []unix.RawSockaddrLinklayer
	buf  []byte // dnsSlots packets of snaplen bytes

	received atomic.Uint64
	losses   losses
}

// NewDNS returns a collector that is not open yet.
func NewDNS(cfg DNSConfig) *DNS {
	cfg.setDefaults()
	return &DNS{cfg: cfg, losses: newLosses(cfg.Interval)}
}

// Open makes the socket, in the network namespace of the calling thread. From
// then on every packet is either received or counted as lost.
func (d *DNS) Open() error {
	// Protocol 0 receives nothing: no packet comes in before the filter is set.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.EPERM):
		return errors.New("dns: needs CAP_NET_RAW: run as root or `setcap cap_net_raw+ep` the program")
	case errors.Is(err, unix.EAFNOSUPPORT):
		return errors.New("dns: the kernel has no packet sockets: modprobe af_packet")
	case err != nil:
		return fmt.Errorf("dns: packet socket: %w", err)
	}
	if err := d.prepare(fd); err != nil {
		unix.Close(fd)
		return fmt.Errorf("dns: %w", err)
	}
	d.file = os.NewFile(uintptr(fd), "dns")
	if d.conn, err = d.file.SyscallConn(); err != nil {
		d.file.Close()
		return fmt.Errorf("dns: %w", err)
	}
	return nil
}

// Describe returns lines about what the open collector would see.
func (d *DNS) Describe() []string {
	return []string{fmt.Sprintf("port 53 on every interface of network namespace %d, %d bytes of a packet, socket buffer %d bytes",
		d.source.Netns, d.source.Snaplen, d.source.Buffer)}
}

// prepare sets the socket's buffer and filter, and the arguments of recvmmsg.
func (d *DNS) prepare(fd int) error {
	granted, err := setReceiveBuffer(fd, d.cfg.Buffer)
	if err != nil {
		return err
	}
	raw, err := bpf.Assemble(dnsFilter())
	if err != nil {
		return fmt.Errorf("assemble the filter: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return os.NewSyscallError("attach the filter", err)
	}
	all := binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(all)}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	d.losses.looked = d.cfg.Clock()
	d.source = capture.Source{Open: true, Kind: capture.SourceDNS, Netns: netnsInode(),
		Buffer: uint64(granted), Snaplen: uint32(d.cfg.Snaplen)}
	if granted/2 < d.cfg.Buffer {
		d.source.Why = fmt.Sprintf("the socket buffer is %d bytes where %d were asked for: run with CAP_NET_ADMIN, or raise net.core.rmem_max",
			granted/2, d.cfg.Buffer)
	}
	d.buf = make([]byte, dnsSlots*d.cfg.Snaplen)
	d.hdrs, d.iovs = make([]mmsghdr, dnsSlots), make([]unix.Iovec, dnsSlots)
	d.from = make([]unix.RawSockaddrLinklayer, dnsSlots)
	for i := range d.hdrs {
		d.iovs[i].Base = &d.buf[i*d.cfg.Snaplen]
		d.iovs[i].SetLen(d.cfg.Snaplen)
		h := &d.hdrs[i].hdr
		h.Iov, h.Name = &d.iovs[i], (*byte)(unsafe.Pointer(&d.from[i]))
		h.SetIovlen(1)
	}
	return nil
}

// Run records until ctx is done, then the packets that are queued.
func (d *DNS) Run(ctx context.Context, out chan<- *Batch) error {
	defer d.file.Close()
	stop := context.AfterFunc(ctx, func() { d.file.SetReadDeadline(time.Now()) })
	defer stop()
	free := newPool(dnsBatches, 0, dnsRecords+dnsSlots)
	b := free.get()
	d.add(b, capture.KindSource, &d.source)
	timer := time.NewTimer(dnsPause)
	defer timer.Stop()
	for {
		stopping, stopped := ctx.Err() != nil, time.Now()
		seen := 0
		for more := true; more; {
			n, err := d.poll()
			if err != nil {
				return fmt.Errorf("dns: receive: %w", err)
			}
			d.addPackets(b, n)
			seen += n
			more = n == dnsSlots
			if more && seen < dnsRecords {
				continue
			}
			seen = 0
			if err := d.checkLoss(b, stopping); err != nil {
				return fmt.Errorf("dns: read the loss counter: %w", err)
			}
			if len(b.Records) > 0 {
				out <- b
				b = free.get()
			}
			if stopping && time.Since(stopped) > time.Second {
				more = false // packets come faster than they are read
			}
		}
		if stopping {
			return nil
		}
		d.setDeadline(ctx)
		n, err := d.wait()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return fmt.Errorf("dns: receive: %w", err)
		}
		d.addPackets(b, n)
		timer.Reset(dnsPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// setDeadline bounds the next wait if a loss waits for its gap record.
func (d *DNS) setDeadline(ctx context.Context) {
	var deadline time.Time
	if d.losses.pending() {
		deadline = time.Now().Add(d.cfg.Interval)
	}
	d.file.SetReadDeadline(deadline)
	if ctx.Err() != nil {
		d.file.SetReadDeadline(time.Now())
	}
}

// wait waits for packets and receives some.
func (d *DNS) wait() (n int, err error) {
	waitErr := d.conn.Read(func(fd uintptr) bool {
		n, err = d.receive(int(fd))
		return n > 0 || err != nil
	})
	return n, errors.Join(waitErr, err)
}

// poll receives some packets without waiting.
func (d *DNS) poll() (n int, err error) {
	if err := d.conn.Control(func(fd uintptr) { n, err = d.receive(int(fd)) }); err != nil {
		return 0, err
	}
	return n, err
}

// receive receives queued packets into the buffers and returns how many.
func (d *DNS) receive(fd int) (int, error) {
	for i := range d.hdrs {
		d.hdrs[i].hdr.Namelen = unix.SizeofSockaddrLinklayer
	}
	for {
		// With MSG_TRUNC, n is the length of the whole packet.
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&d.hdrs[0])), uintptr(len(d.hdrs)),
			unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN, unix.ENETDOWN: // one interface went down; the others still work
			return 0, nil
		default:
			return 0, errno
		}
	}
}

// kept returns how many bytes of a packet are kept while a part of the allowance
// is left: first the packets become shorter, then some are refused.
func (d *DNS) kept(left float64) int {
	switch {
	case left <= 0:
		return 0
	case left < 0.25:
		return min(128, d.cfg.Snaplen) // the question, mostly
	case left < 0.5:
		return min(512, d.cfg.Snaplen)
	}
	return d.cfg.Snaplen
}

// addPackets adds records of the first n packets in the buffers, as far as the
// allowance goes.
func (d *DNS) addPackets(b *Batch, n int) {
	for i := range n {
		now := d.cfg.Clock()
		keep := d.kept(d.cfg.Allowance.left(now))
		if keep == 0 {
			d.losses.refuse(now)
			continue
		}
		length := int(d.hdrs[i].n)
		start := i * d.cfg.Snaplen
		p := capture.DNS{
			Interface: uint32(d.from[i].Ifindex),
			Direction: capture.DirectionIn,
			Length:    uint32(length),
			Packet:    d.buf[start : start+min(length, keep)],
		}
		if d.from[i].Pkttype == unix.PACKET_OUTGOING {
			p.Direction = capture.DirectionOut
		}
		d.cfg.Allowance.spend(len(p.Packet)+recordOverhead, now)
		d.add(b, capture.KindDNS, &p)
		d.received.Add(1)
	}
}

// checkLoss counts what the kernel dropped since the last call; reading the
// counter resets it. It adds the gaps that are due.
func (d *DNS) checkLoss(b *Batch, last bool) (err error) {
	now := d.cfg.Clock()
	var s *unix.TpacketStats
	if err := d.conn.Control(func(fd uintptr) {
		s, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	}); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	d.losses.overflow(uint64(s.Drops), now)
	for _, gap := range d.losses.gaps(now, last) {
		d.add(b, capture.KindGap, gap)
	}
	return nil
}

func (d *DNS) add(b *Batch, kind capture.Kind, p capture.Payload) {
	b.Records = append(b.Records, capture.Record{At: d.cfg.Clock(), Kind: kind, Source: d.cfg.Source, Payload: capture.AppendPayload(nil, p)})
}

// Stats counts in Received the packets that were recorded. A loss degrades the source for a minute.
func (d *DNS) Stats() Stats {
	s := Stats{Received: d.received.Load(), Lost: d.losses.total.Load(), Why: d.source.Why}
	if why := d.losses.why("packets", d.cfg.Clock()); why != "" {
		s.Why = why
	}
	return s
}
