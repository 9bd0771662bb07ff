//go:build linux

package netlab

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// exchangeTimeout bounds the exchange of bytes; a lab on one host needs much less.
const exchangeTimeout = 20 * time.Second

type heldConn struct {
	seen dialed
	conn *net.TCPConn
}

// dialRun is a dial request in progress.
type dialRun struct {
	a    *agent
	q    *request
	mu   sync.Mutex
	out  reply
	held []heldConn
}

// dial makes the connections of q. It returns when all are closed or, if they stay open
// until a release, when all are open. Connection i starts at i/Count of Over, or when one
// of the Workers slots is free. A connection needs a slot for connect and exchange only.
func (a *agent) dial(q request) (reply, error) {
	r := &dialRun{a: a, q: &q}
	if q.Stack {
		if err := a.openStack(); err != nil {
			return reply{}, err
		}
	}
	slots := make(chan struct{}, cmp.Or(q.Workers, 16))
	var wg sync.WaitGroup
	start := time.Now()
	for i := 0; i < q.Count || q.Count == 0; i++ {
		if q.Over > 0 {
			due := time.Duration(float64(q.Over) / float64(q.Count) * float64(i))
			time.Sleep(time.Until(start.Add(due)))
		}
		slots <- struct{}{}
		if q.Until > 0 && time.Since(start) >= q.Until {
			break
		}
		wg.Go(func() {
			if q.Client != "" || q.Stack {
				defer func() { <-slots }()
				r.spawn(i)
				return
			}
			r.one(i, func() { <-slots })
		})
	}
	wg.Wait()
	r.out.Elapsed = time.Since(start)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(r.held) > 0 {
		a.held[q.Group] = append(a.held[q.Group], r.held...)
	}
	return r.out, nil
}

// release closes the connections of a group and returns them.
func (a *agent) release(group int) []dialed {
	a.mu.Lock()
	held := a.held[group]
	delete(a.held, group)
	a.mu.Unlock()
	var out []dialed
	for _, h := range held {
		h.conn.Close()
		h.seen.Closed = now()
		out = append(out, h.seen)
	}
	return out
}

// one makes connection i. It calls done after the exchange.
func (r *dialRun) one(i int, done func()) {
	q, t := r.q, r.q.Targets[i%len(r.q.Targets)]
	d := dialed{Remote: t.Addr}
	rand.Read(d.ID[:])
	conn, err := r.connect(i, t, &d)
	if err == nil {
		err = exchange(conn, q, &d)
	}
	done()
	if err != nil {
		d.Err = err.Error()
	}
	switch {
	case conn == nil:
		if d.Opened.IsZero() {
			d.Opened = now()
		}
		d.Closed = now()
	case q.Hold == WholePlan && err == nil:
		r.mu.Lock()
		r.held = append(r.held, heldConn{d, conn})
		r.mu.Unlock()
	default:
		if err == nil && q.Hold > 0 {
			time.Sleep(q.Hold)
		}
		if q.Close == "reset" {
			conn.SetLinger(0)
		}
		conn.Close()
		d.Closed = now()
	}
	r.add(d)
}

func (r *dialRun) add(d dialed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.q.Quiet {
		r.out.Dialed = append(r.out.Dialed, d)
		return
	}
	if d.Err == "" {
		r.out.Took = append(r.out.Took, d.Took)
		return
	}
	r.out.Failed++
	r.out.FirstErr = cmp.Or(r.out.FirstErr, d.Err)
}

// connect looks the name up, if there is one, and connects.
func (r *dialRun) connect(i int, t target, d *dialed) (*net.TCPConn, error) {
	q := r.q
	if t.Name != "" {
		addr, err := r.lookup(t, d)
		if err != nil {
			return nil, err
		}
		d.Name, d.Remote = t.Name, netip.AddrPortFrom(addr, t.Addr.Port())
	}
	dialer := net.Dialer{KeepAlive: -1, Timeout: cmp.Or(q.Timeout, 10*time.Second)}
	if len(q.Sources) > 0 || len(q.Ports) > 0 {
		local := &net.TCPAddr{}
		if n := len(q.Sources); n > 0 {
			local.IP = q.Sources[i%n].AsSlice()
		}
		if i < len(q.Ports) {
			local.Port = int(q.Ports[i])
			d.Local = netip.AddrPortFrom(sourceFor(d.Remote.Addr()), q.Ports[i])
		}
		dialer.LocalAddr = local
		dialer.Control = shareSource
	}
	began := time.Now()
	c, err := dialer.Dial("tcp", d.Remote.String())
	d.Took, d.Opened = time.Since(began), now()
	if err != nil {
		d.Opened = began.Round(0).UTC()
		return nil, err
	}
	conn := c.(*net.TCPConn)
	d.Up, d.Local = true, addrPort(conn.LocalAddr())
	return conn, nil
}

// sourceFor returns the source address that the client's routes choose for a destination.
func sourceFor(dst netip.Addr) netip.Addr {
	if dst.IsLoopback() {
		return dst
	}
	return netip.MustParseAddr("198.18.0.2")
}

// shareSource allows to use a source port again while an earlier connection with it is in
// TIME_WAIT. Without a given port, connect chooses it, because connect knows the
// destination.
func shareSource(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}

func exchange(c *net.TCPConn, q *request, d *dialed) error {
	c.SetDeadline(time.Now().Add(exchangeTimeout))
	g := greeting{id: d.ID, size: uint32(q.Bytes)}
	if q.Quiet {
		g.flags |= flagQuiet
	}
	if q.Close == "server" {
		g.flags |= flagServerClose
	}
	out := append(g.append(make([]byte, 0, greetingSize+q.Bytes)), make([]byte, q.Bytes)...)
	sent := make(chan error, 1)
	if q.Bytes > 64<<10 { // more than fits into the socket buffers
		go func() { _, err := c.Write(out); sent <- err }()
	} else {
		_, err := c.Write(out)
		sent <- err
	}
	in := make([]byte, len(g.id)+q.Bytes)
	if _, err := io.ReadFull(c, in); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if err := <-sent; err != nil {
		return err
	}
	if connID(in[:16]) != g.id {
		return fmt.Errorf("the server answered %x, not %x", in[:16], g.id)
	}
	if q.Close == "server" {
		if _, err := c.Read(in[:1]); err != io.EOF {
			return fmt.Errorf("wait for the server's close: %v", err)
		}
	}
	return nil
}

// lookup asks the lab's DNS server. A query over TCP is a connection, so it is part of the
// truth.
func (r *dialRun) lookup(t target, d *dialed) (netip.Addr, error) {
	qtype := dns.TypeA
	if t.IPv6 {
		qtype = dns.TypeAAAA
	}
	client := dns.Client{Net: r.q.DNS, Timeout: 5 * time.Second}
	c, err := client.DialContext(context.Background(), dnsServer.String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("dial DNS server: %w", err)
	}
	query := dialed{Query: true, Up: true, Opened: now(), Local: addrPort(c.LocalAddr()), Remote: dnsServer}
	m := new(dns.Msg).SetQuestion(dns.Fqdn(t.Name), qtype)
	in, _, err := client.ExchangeWithConn(m, c)
	c.Close()
	query.Closed = now()
	if r.q.DNS == "tcp" {
		r.add(query)
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("look up %s: %w", t.Name, err)
	}
	return follow(in, d)
}

// follow returns the first address of an answer, and adds the CNAME targets before it to d.
func follow(m *dns.Msg, d *dialed) (netip.Addr, error) {
	for _, rr := range m.Answer {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.CNAME:
			d.Chain = append(d.Chain, trimDot(rr.Target))
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok {
			return addr.Unmap(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s: no address (%s): %w", m.Question[0].Name, dns.RcodeToString[m.Rcode], os.ErrNotExist)
}

func trimDot(name string) string {
	if n := len(name); n > 1 && name[n-1] == '.' {
		return name[:n-1]
	}
	return name
}

// now returns the wall clock without the monotonic reading, which has no meaning in another
// process.
func now() time.Time { return time.Now().Round(0).UTC() }
