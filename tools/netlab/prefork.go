//go:build linux

package netlab

import (
	"fmt"
	"net"
	"os"
	"time"
)

// preforked is how many children of a preforking server wait for connections on an address.
const preforked = 8

// prefork listens in this process, and accepts in children that it forks beforehand. Each
// child serves one connection, and then another one replaces it.
func (a *agent) prefork(addr string) error {
	l, err := listenTCP(addr)
	if err != nil {
		return err
	}
	f, err := l.(*net.TCPListener).File() // it blocks, as the children need it
	if err != nil {
		return err
	}
	for range preforked {
		go func() {
			for {
				if err := a.serveByChild(f); err != nil {
					fmt.Fprintln(os.Stderr, err)
					time.Sleep(100 * time.Millisecond)
				}
			}
		}()
	}
	return nil
}

// serveByChild serves one connection by a child.
func (a *agent) serveByChild(listener *os.File) error {
	c, free, err := newChild("lab-prefork")
	if err != nil {
		return err
	}
	defer free()
	c.listener = int32(listener.Fd())
	pid, err := c.start(true)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.serving[pid] = c
	a.mu.Unlock()
	err = reap(pid)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.harvest()
	delete(a.serving, pid)
	return err
}

// harvest adds what children accepted since the last time.
func (a *agent) harvest() {
	for pid, c := range a.serving {
		if !c.seen {
			continue
		}
		c.seen = false
		if c.answer[flagsAt]&flagQuiet == 0 {
			a.accepted = append(a.accepted, accepted{connID(c.answer[:16]), c.local.addrPort(), c.remote.addrPort(), process{pid, "lab-prefork"}})
		}
	}
}
