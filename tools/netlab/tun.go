//go:build linux

package netlab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A stack is as much of TCP over IPv4 as a client in a process needs, on a tun device. The
// kernel has no socket of its connections, and receives their packets while the stack's process
// writes them. No packet is lost on the device, and none is sent twice.
type stack struct {
	tun  *os.File
	mu   sync.Mutex
	port uint16 // of the last connection
	open map[uint16]chan segment
}

// A segment is what a packet of a connection carries.
type segment struct {
	seq, ack uint32
	flags    byte
	data     []byte
}

// Flags of a segment.
const (
	fin = 1 << iota
	syn
	rst
	push
	ack
)

const (
	stackDevice   = "tun0"
	stackFirst    = 20000 // its ports begin here
	ipHeaderSize  = 20
	tcpHeaderSize = 20
)

// stackScript makes the device that a stack opens.
const stackScript = `
tuntap add dev ` + stackDevice + ` mode tun
address add 198.18.3.1/24 dev ` + stackDevice + `
link set ` + stackDevice + ` up
`

var stackAddr = netip.MustParseAddr("198.18.3.2")

func newStack() (*stack, error) {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	device, err := unix.NewIfreq(stackDevice)
	if err != nil {
		return nil, err
	}
	device.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, device); err != nil {
		return nil, fmt.Errorf("open %s: %w", stackDevice, err)
	}
	s := &stack{tun: f, port: stackFirst, open: map[uint16]chan segment{}}
	go s.read()
	return s, nil
}

// openStack opens the agent's stack, once.
func (a *agent) openStack() (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stack == nil {
		a.stack, err = newStack()
	}
	return err
}

// read passes the packets of the device to their connections.
func (s *stack) read() {
	b := make([]byte, 65536)
	for {
		n, err := s.tun.Read(b)
		if err != nil {
			return
		}
		p := b[:n]
		if n < ipHeaderSize+tcpHeaderSize || p[0]>>4 != 4 || p[9] != unix.IPPROTO_TCP {
			continue
		}
		t := p[int(p[0]&15)*4:]
		s.mu.Lock()
		c := s.open[binary.BigEndian.Uint16(t[2:])]
		s.mu.Unlock()
		if c != nil {
			c <- segment{binary.BigEndian.Uint32(t[4:]), binary.BigEndian.Uint32(t[8:]), t[13], slices.Clone(t[t[12]>>4*4:])}
		}
	}
}

// A stackConn is a connection of a stack.
type stackConn struct {
	*stack
	local, remote netip.AddrPort
	in            chan segment
	seq, ack      uint32 // of the next byte to send, and to receive
	closed        bool   // by the server
}

// dial makes a connection, as Client of a pattern.
func (s *stack) dial(r *dialRun, d *dialed) error {
	c := &stackConn{stack: s, remote: d.Remote, in: make(chan segment, 16), seq: 1000}
	s.mu.Lock()
	s.port++
	c.local = netip.AddrPortFrom(stackAddr, s.port)
	s.open[s.port] = c.in
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, c.local.Port())
	}()
	if err := c.connect(); err != nil {
		return err
	}
	d.Up, d.Local, d.Opened = true, c.local, now()
	greeting := r.greeting(d.ID)
	if err := c.exchange(greeting[:], len(d.ID)); err != nil {
		return err
	}
	time.Sleep(r.q.Hold)
	if r.q.Close == "reset" {
		return c.send(rst|ack, nil)
	}
	return c.close(r.q.Close == "server")
}

func (c *stackConn) connect() error {
	if err := c.send(syn, nil); err != nil {
		return err
	}
	if err := c.receive(func(g segment) bool { return g.flags == syn|ack }); err != nil {
		return err
	}
	return c.send(ack, nil)
}

// exchange sends data, and receives as many bytes as the server answers.
func (c *stackConn) exchange(data []byte, answer int) error {
	if err := c.send(push|ack, data); err != nil {
		return err
	}
	if err := c.receive(func(g segment) bool { answer -= len(g.data); return answer <= 0 }); err != nil {
		return err
	}
	return c.send(ack, nil)
}

// close closes, before the server does or after.
func (c *stackConn) close(after bool) error {
	end := func(segment) bool { return c.closed }
	if after && !c.closed {
		if err := c.receive(end); err != nil {
			return err
		}
	}
	if err := c.send(fin|ack, nil); err != nil {
		return err
	}
	if c.closed {
		return nil
	}
	if err := c.receive(end); err != nil {
		return err
	}
	return c.send(ack, nil)
}

// receive receives segments until one is the last.
func (c *stackConn) receive(last func(segment) bool) error {
	for late := time.After(exchangeTimeout); ; {
		select {
		case g := <-c.in:
			if g.flags&rst != 0 {
				return errors.New("the server reset the connection")
			}
			c.ack = g.seq + uint32(len(g.data))
			if g.flags&(syn|fin) != 0 {
				c.ack++
			}
			c.closed = c.closed || g.flags&fin != 0
			if last(g) {
				return nil
			}
		case <-late:
			return os.ErrDeadlineExceeded
		}
	}
}

// send writes a packet to the device.
func (c *stackConn) send(flags byte, data []byte) error {
	p := make([]byte, ipHeaderSize+tcpHeaderSize, ipHeaderSize+tcpHeaderSize+len(data))
	p[0], p[8], p[9] = 4<<4|ipHeaderSize/4, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(p[2:], uint16(cap(p)))
	copy(p[12:], c.local.Addr().AsSlice())
	copy(p[16:], c.remote.Addr().AsSlice())
	binary.BigEndian.PutUint16(p[10:], checksum(p[:ipHeaderSize], 0))
	t := p[ipHeaderSize:]
	binary.BigEndian.PutUint16(t, c.local.Port())
	binary.BigEndian.PutUint16(t[2:], c.remote.Port())
	binary.BigEndian.PutUint32(t[4:], c.seq)
	binary.BigEndian.PutUint32(t[8:], c.ack)
	t[12], t[13] = tcpHeaderSize/4<<4, flags
	binary.BigEndian.PutUint16(t[14:], 65535) // window
	p = append(p, data...)
	// The pseudo header: both addresses, the protocol and the length.
	sum := checksum(p[12:], uint32(unix.IPPROTO_TCP+len(p)-ipHeaderSize))
	binary.BigEndian.PutUint16(p[ipHeaderSize+16:], sum)
	c.seq += uint32(len(data))
	if flags&(syn|fin) != 0 {
		c.seq++
	}
	_, err := c.tun.Write(p)
	return err
}

// checksum returns the Internet checksum of bytes whose number is even or that end with a zero
// byte, added to a sum.
func checksum(b []byte, sum uint32) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
