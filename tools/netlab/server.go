//go:build linux

package netlab

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
)

// listenTCP listens with plain TCP, as most servers do; Go's default is MPTCP. "[::]" is
// dual-stack.
func listenTCP(addr string) (net.Listener, error) {
	network := "tcp4"
	if strings.HasPrefix(addr, "[") {
		network = "tcp"
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	lc.KeepAlive = -1
	return lc.Listen(context.Background(), network, addr)
}

func (a *agent) listen(addr string) error {
	l, err := listenTCP(addr)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				time.Sleep(time.Millisecond) // out of descriptors: the connection waits in the backlog
				continue
			}
			go a.serve(c.(*net.TCPConn))
		}
	}()
	return nil
}

// serve reports the connection before it answers, so that a collect after a client's
// answer returns the server's end.
func (a *agent) serve(c *net.TCPConn) {
	defer c.Close()
	var head [greetingSize]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return
	}
	g := parseGreeting(&head)
	if g.size > maxPayload {
		return
	}
	if g.flags&flagQuiet == 0 {
		seen := accepted{ID: g.id, Local: addrPort(c.LocalAddr()), Remote: addrPort(c.RemoteAddr())}
		a.mu.Lock()
		a.accepted = append(a.accepted, seen)
		a.mu.Unlock()
	}
	if _, err := c.Write(g.id[:]); err != nil {
		return
	}
	if _, err := io.CopyN(c, c, int64(g.size)); err != nil {
		return
	}
	if g.flags&flagServerClose == 0 {
		var one [1]byte
		c.Read(one[:]) // until the client closes or resets
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
