//go:build linux

package netlab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Run makes a plan's traffic. It returns when all connections are closed, and returns them
// in the order in which they were opened, also with an error. When ctx ends early,
// connections may stay open until [Lab.Close].
func (l *Lab) Run(ctx context.Context, plan Plan) ([]Conn, error) {
	if err := plan.check(); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var conns []Conn
	var errs []error
	add := func(cs []Conn, err error) {
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, cs...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	end := time.Now().Add(plan.Duration)
	var short, long sync.WaitGroup
	ended := make(chan struct{})
	for _, p := range plan.Patterns {
		group := &short
		if p.Hold == WholePlan {
			group = &long
		}
		group.Go(func() {
			if !sleep(ctx, p.After) {
				return
			}
			if p.Hold != WholePlan {
				add(l.runShort(ctx, p))
				return
			}
			held, err := l.Hold(ctx, p)
			if err != nil {
				add(nil, err)
			}
			<-ended
			add(held.Release(ctx))
		})
	}
	short.Wait()
	sleep(ctx, time.Until(end))
	close(ended)
	long.Wait()
	sortConns(conns)
	return conns, errors.Join(append(errs, ctx.Err())...)
}

// runShort makes connections that close before the plan ends.
func (l *Lab) runShort(ctx context.Context, p Pattern) ([]Conn, error) {
	if !kinds[p.Kind].pair || p.Client != "" {
		return l.dial(ctx, p, 0)
	}
	// The pairs must be open at the same time.
	held, err := l.Hold(ctx, p)
	sleep(ctx, p.Hold)
	conns, err2 := held.Release(ctx)
	return conns, errors.Join(err, err2)
}

// Held are connections that stay open.
type Held struct {
	lab   *Lab
	group int
	agent []*worker

	mu    sync.Mutex
	conns []Conn
}

// Hold opens a pattern's connections and returns when all are open. They stay open until
// Release; Hold ignores the pattern's After and Hold. With an error, Held has the
// connections that were opened.
func (l *Lab) Hold(ctx context.Context, p Pattern) (*Held, error) {
	l.mu.Lock()
	l.groups++
	h := &Held{lab: l, group: l.groups}
	l.mu.Unlock()
	p.Hold = 0
	if err := p.check(); err != nil {
		return h, err
	}
	if p.Close == "server" {
		return h, fmt.Errorf("hold %s: a server closes at once", p.Kind)
	}
	p.Hold = WholePlan
	h.agent = l.agentsOf(p)
	conns, err := l.dial(ctx, p, h.group)
	h.conns = conns
	return h, err
}

// Conns returns the connections. Closed is zero while they are open.
func (h *Held) Conns() []Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Conn(nil), h.conns...)
}

// Release closes the connections and returns them.
func (h *Held) Release(ctx context.Context) ([]Conn, error) {
	var errs []error
	for _, w := range h.agent {
		r, err := w.call(ctx, request{Op: "release", Group: h.group})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		closed := map[[2]netip.AddrPort]time.Time{}
		for _, d := range r.Dialed {
			closed[[2]netip.AddrPort{d.Local, d.Remote}] = d.Closed
		}
		h.mu.Lock()
		for i := range h.conns {
			c := &h.conns[i]
			t, ok := closed[[2]netip.AddrPort{c.Client.Local, c.Client.Remote}]
			if ok && c.Client.PID == w.PID && c.Closed.IsZero() {
				c.Closed = t
			}
		}
		h.mu.Unlock()
	}
	return h.Conns(), errors.Join(errs...)
}

func (l *Lab) agentsOf(p Pattern) []*worker {
	k := kinds[p.Kind]
	names := []string{k.agent}
	switch {
	case k.pair && p.Client != "":
		names = []string{"lab-fork", "lab-fork-b"}
	case k.pair:
		names = []string{"lab-lo-a", "lab-lo-b"}
	case p.Client != "":
		names = []string{"lab-fork"}
	}
	var agents []*worker
	for _, name := range names {
		agents = append(agents, l.workers[name])
	}
	return agents
}

// dial makes the connections of a pattern and joins their two ends.
func (l *Lab) dial(ctx context.Context, p Pattern, group int) ([]Conn, error) {
	k := kinds[p.Kind]
	q := request{Op: "dial", Targets: k.targets, DNS: k.dns, Count: p.Count, Over: p.Over, Hold: p.Hold,
		Timeout: k.timeout, Group: group, Bytes: p.Bytes, Close: p.Close, Client: p.Client, Stack: k.stack,
		Enter: []string{l.Gateway.path(), l.Server.path()}, Workers: p.Parallel, Ports: l.takePorts(p)}
	if p.Count == 0 {
		return nil, nil
	}
	if k.stack {
		if err := l.addStackDevice(); err != nil {
			return nil, err
		}
	}
	agents := l.agentsOf(p)
	views := make([][]dialed, len(agents))
	err := together(eachAgent(agents, func(i int, w *worker) error {
		r, err := w.call(ctx, q)
		views[i] = r.Dialed
		return err
	})...)
	if err != nil {
		return nil, err
	}
	if err := l.collect(ctx); err != nil {
		return nil, err
	}
	var conns []Conn
	var errs []error
	for i, w := range agents {
		for _, d := range views[i] {
			c, err := l.join(p.Kind, w, d)
			conns = append(conns, c)
			if err != nil {
				errs = append(errs, err)
			}
		}
	}
	return conns, errors.Join(errs...)
}

func eachAgent(agents []*worker, f func(int, *worker) error) []func() error {
	var steps []func() error
	for i, w := range agents {
		steps = append(steps, func() error { return f(i, w) })
	}
	return steps
}

func (l *Lab) takePorts(p Pattern) []uint16 {
	first := kinds[p.Kind].firstPort
	if first == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ports := make([]uint16, p.Count)
	for i := range ports {
		ports[i] = first + l.ports[p.Kind]
		l.ports[p.Kind] = (l.ports[p.Kind] + 1) % portsPerKind
	}
	return ports
}

// collect fetches the server ends. Only one collect runs at a time, so that a second one
// returns after the first one has stored its results.
func (l *Lab) collect(ctx context.Context) error {
	l.collecting.Lock()
	defer l.collecting.Unlock()
	var servers []*worker
	for _, m := range members {
		if m.listen != nil {
			servers = append(servers, l.workers[m.comm])
		}
	}
	return together(eachAgent(servers, func(_ int, w *worker) error {
		r, err := w.call(ctx, request{Op: "collect"})
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, a := range r.Accepted {
			e := w.end(a.Local, a.Remote, a.process)
			if a.PID != 0 {
				e.Others = []process{w.process}
			}
			l.accepted[a.ID] = e
		}
		return err
	})...)
}

// join makes the Conn of a client's end and its server's end.
func (l *Lab) join(kind string, w *worker, d dialed) (Conn, error) {
	c := Conn{Pattern: kind, Family: "ip4", Name: d.Name, Chain: d.Chain, Established: d.Up, Opened: d.Opened, Closed: d.Closed,
		Client: w.end(d.Local, d.Remote, d.process)}
	if kinds[kind].stack {
		c.Client = endpoint{Local: d.Local, Remote: d.Remote}
	}
	if d.Closer != nil {
		c.Client.Others = []process{*d.Closer}
	}
	if d.Remote.Addr().Is6() {
		c.Family = "ip6"
	}
	if d.Query {
		c.Pattern = dnsQuery
		c.Server = endpoint{Netns: l.DNS.Inode, Local: dnsServer, Remote: d.Local, process: process{Comm: "dnsmasq"}}
		return c, nil
	}
	expected := kind != Refused && kind != HalfOpen
	switch {
	case d.Up != expected:
		return c, fmt.Errorf("%s %v -> %v: connected is %v: %s", kind, d.Local, d.Remote, d.Up, d.Err)
	case !d.Up:
		return c, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	server, ok := l.accepted[d.ID]
	if !ok || d.Err != "" {
		return c, fmt.Errorf("%s %v -> %v: seen by its server is %v: %s", kind, d.Local, d.Remote, ok, d.Err)
	}
	delete(l.accepted, d.ID)
	c.Server = server
	return c, nil
}

// end returns a connection's end in a worker's namespace. The worker has it itself, or forked the
// process that has it.
func (w *worker) end(local, remote netip.AddrPort, p process) endpoint {
	e := endpoint{Netns: w.netns, Local: local, Remote: remote, process: w.process, Cgroup: w.cgroup}
	if p.PID != 0 {
		e.process = p
	}
	return e
}

// sleep reports whether ctx still lasts after d.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(max(d, 0)):
		return ctx.Err() == nil
	}
}
