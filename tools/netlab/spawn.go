//go:build linux

package netlab

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// shortHold is how long a forked client of its own keeps its connection open.
const shortHold = 4 * time.Millisecond

// spawn makes connection i by a process of its own, or without a socket.
func (r *dialRun) spawn(i int) {
	d := dialed{Remote: r.q.Targets[i%len(r.q.Targets)].Addr, Opened: now()}
	rand.Read(d.ID[:])
	make := r.fork
	switch {
	case r.q.Stack:
		make = func(_ int, d *dialed) error { return r.a.stack.dial(r, d) }
	case r.q.Client == Exec:
		make = r.exec
	}
	if err := make(i, &d); err != nil {
		d.Err = err.Error()
	}
	if d.Closed.IsZero() {
		d.Closed = now()
	}
	r.add(d)
}

// fork makes a connection by a forked process.
func (r *dialRun) fork(i int, d *dialed) error {
	d.Comm = fmt.Sprintf("lab-short-%d", i%100_000)
	c, free, err := newChild(d.Comm)
	if err != nil {
		return err
	}
	defer free()
	c.remote = newSockaddr(d.Remote)
	if i < len(r.q.Ports) {
		d.Local = netip.AddrPortFrom(sourceFor(d.Remote.Addr()), r.q.Ports[i])
		c.bind = newSockaddr(d.Local)
	}
	c.greeting = r.greeting(d.ID)
	c.hold = unix.NsecToTimespec(int64(cmp.Or(r.q.Hold, shortHold)))
	c.timeout = unix.NsecToTimeval(int64(cmp.Or(r.q.Timeout, exchangeTimeout)))
	c.reset, c.hand = r.q.Close == "reset", r.q.Client == Handed
	if r.q.Client == Setns {
		ns, err := os.Open(r.q.Enter[i%len(r.q.Enter)])
		if err != nil {
			return err
		}
		defer ns.Close()
		c.enter = int32(ns.Fd())
	}
	if d.PID, err = c.start(false); err != nil {
		return err
	}
	if err := reap(d.PID); err != nil {
		return err
	}
	if c.closer != 0 {
		d.Closer = &process{int(c.closer), d.Comm}
		if err := reap(d.Closer.PID); err != nil {
			return err
		}
	}
	return c.tell(d)
}

// greeting returns the first message of a connection without payload.
func (r *dialRun) greeting(id connID) (b [greetingSize]byte) {
	g := greeting{id: id}
	if r.q.Quiet {
		g.flags |= flagQuiet
	}
	if r.q.Close == "server" {
		g.flags |= flagServerClose
	}
	g.append(b[:0])
	return b
}

// tell sets what a child reports.
func (c *child) tell(d *dialed) error {
	if c.opened != (unix.Timespec{}) {
		d.Opened, d.Up, d.Local = clock(c.opened), true, c.local.addrPort()
	}
	if c.closed != (unix.Timespec{}) {
		d.Closed = clock(c.closed)
	}
	switch err := c.err(); {
	case err != nil:
		return err
	case !c.done:
		return fmt.Errorf("process %d ended early", d.PID)
	case connID(c.answer[:16]) != d.ID:
		return fmt.Errorf("the server answered %x, not %x", c.answer[:16], d.ID)
	}
	return nil
}

func clock(t unix.Timespec) time.Time { return time.Unix(t.Unix()).UTC() }

// exec makes a connection by this program, started again.
func (r *dialRun) exec(i int, d *dialed) error {
	q := *r.q
	q.Client, q.Count, q.Over, q.Targets = "", 1, 0, []target{{Addr: d.Remote}}
	if q.Ports = nil; i < len(r.q.Ports) {
		q.Ports = r.q.Ports[i : i+1]
	}
	in, err := json.Marshal(q)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), workerEnv+"=dial lab-exec", "GOMAXPROCS=1")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("a process of its own: %w", err)
	}
	var a reply
	if err := json.Unmarshal(out, &a); err != nil || len(a.Dialed) != 1 {
		return fmt.Errorf("a process of its own replied %q: %v", out, err)
	}
	*d = a.Dialed[0]
	d.process = process{cmd.Process.Pid, "lab-exec"}
	return nil
}

// runDial serves one request to dial: it is the process of one connection.
func runDial() error {
	var q request
	if err := json.NewDecoder(os.Stdin).Decode(&q); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	r, err := new(agent).dial(q)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}
