package tools

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/topotape/topotape/tools/netlab"
	"golang.org/x/sys/unix"
)

// A way is a local and a remote address, or a source and a destination.
type way struct{ from, to netip.AddrPort }

func (w way) String() string { return w.from.String() + ">" + w.to.String() }

// A flowName is a conntrack entry's two tuples.
type flowName struct{ orig, reply way }

// A socketName is a connected socket of a namespace.
type socketName struct {
	netns uint64
	way
}

// A kernelSocket is a line of ss.
type kernelSocket struct {
	open  bool // in a state of an established connection with at most one closed end
	inode uint64
	pids  []uint32 // sorted
}

// A reading is when something was read: CLOCK_BOOTTIME in ns.
type reading struct{ begin, end int64 }

// A snapshot is the output of the kernel's own tools at one instant, between two markers.
type snapshot struct {
	before    marker
	after     marker
	flowsRead reading
	flows     map[flowName]bool
	socksRead map[uint64]reading // by namespace
	socks     map[socketName]kernelSocket
}

// bootTime returns CLOCK_BOOTTIME in ns.
func bootTime() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// A marker is an event that a test makes in the gateway. Earlier events of the kernel are
// before it on the tape, even if the recorder reads them late. It is a UDP flow between
// documentation addresses; the port is the marker's number.
type marker uint16

var markerFrom, markerTo = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")

// A markerSource makes markers.
type markerSource struct {
	conn *conntrack.Conn
	last marker
}

func newMarkerSource(in netlab.Netns) (*markerSource, error) {
	ns, err := os.Open("/run/netns/" + in.Name)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	conn, err := conntrack.Dial(&netlink.Config{NetNS: int(ns.Fd())})
	return &markerSource{conn: conn}, err
}

func (f *markerSource) put() (marker, error) {
	f.last++
	flow := conntrack.NewFlow(unix.IPPROTO_UDP, conntrack.Status(0), markerFrom, markerTo, uint16(f.last), 9, 600, 0)
	if err := f.conn.Create(flow); err != nil {
		return 0, fmt.Errorf("marker %d: %w", f.last, err)
	}
	return f.last, nil
}

// markerOf returns the number of the marker in a message, 0 if it is no marker.
func markerOf(e *conntrack.Event) marker {
	t := &e.Flow.TupleOrig
	if e.Type != conntrack.EventNew || t.Proto.Protocol != unix.IPPROTO_UDP || t.IP.SourceAddress != markerFrom {
		return 0
	}
	return marker(t.Proto.SourcePort)
}

// takeSnapshot runs the kernel's tools in all namespaces of the lab at the same time.
func takeSnapshot(ctx context.Context, lab *netlab.Lab, markers *markerSource) (k *snapshot, err error) {
	k = &snapshot{flows: map[flowName]bool{}, socksRead: map[uint64]reading{}, socks: map[socketName]kernelSocket{}}
	if k.before, err = markers.put(); err != nil {
		return nil, err
	}
	defer func() {
		if err == nil {
			k.after, err = markers.put()
		}
	}()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	run := func(in netlab.Netns, take func(reading, string) error, name string, args ...string) {
		var r reading
		r.begin = bootTime()
		out, err := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", in.Name, name}, args...)...).Output()
		r.end = bootTime()
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			err = take(r, string(out))
		}
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s in %s: %w", name, in.Name, err)
		}
	}
	wg.Go(func() { run(lab.Gateway, k.addFlows, "conntrack", "-L", "-p", "tcp", "-o", "extended") })
	for _, in := range []netlab.Netns{lab.Client, lab.Gateway, lab.Server, lab.DNS} {
		wg.Go(func() {
			run(in, func(r reading, out string) error { return k.addSockets(in.Inode, r, out) }, "ss", "-tanpeHO")
		})
	}
	wg.Wait()
	return k, failed
}

var flowLine = regexp.MustCompile(`tcp +6 \d+ (\S+) src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) (\[UNREPLIED\] )?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)`)

// addFlows adds the flows of conntrack -L that are connections: those with a reply in a
// state after SYN_RECV, without TIME_WAIT and CLOSE.
func (k *snapshot) addFlows(r reading, out string) error {
	k.flowsRead = r
	for l := range strings.Lines(out) {
		m := flowLine.FindStringSubmatch(l)
		if m == nil {
			return fmt.Errorf("line %q", l)
		}
		if m[6] == "" && !slices.Contains([]string{"SYN_SENT", "SYN_SENT2", "SYN_RECV", "TIME_WAIT", "CLOSE"}, m[1]) {
			at := func(addr, port string) netip.AddrPort {
				p, _ := strconv.ParseUint(port, 10, 16)
				return netip.AddrPortFrom(netip.MustParseAddr(addr), uint16(p))
			}
			k.flows[flowName{way{at(m[2], m[4]), at(m[3], m[5])}, way{at(m[7], m[9]), at(m[8], m[10])}}] = true
		}
	}
	return nil
}

var (
	socketPID   = regexp.MustCompile(`pid=(\d+)`)
	socketInode = regexp.MustCompile(` ino:(\d+)`)
)

// addSockets adds the sockets of ss -tanpeHO.
func (k *snapshot) addSockets(netns uint64, r reading, out string) error {
	k.socksRead[netns] = r
	for l := range strings.Lines(out) {
		f := strings.Fields(l) // state, two queues, local, remote, …
		if len(f) < 5 {
			return fmt.Errorf("line %q", l)
		}
		if f[0] == "LISTEN" || f[0] == "SYN-SENT" || f[0] == "SYN-RECV" {
			continue
		}
		local, err := socketAddr(f[3])
		if err != nil {
			return fmt.Errorf("line %q: %w", l, err)
		}
		remote, err := socketAddr(f[4])
		if err != nil {
			return fmt.Errorf("line %q: %w", l, err)
		}
		s := kernelSocket{open: slices.Contains([]string{"ESTAB", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT"}, f[0])}
		if m := socketInode.FindStringSubmatch(l); m != nil {
			s.inode, _ = strconv.ParseUint(m[1], 10, 64)
		}
		for _, m := range socketPID.FindAllStringSubmatch(l, -1) {
			pid, _ := strconv.ParseUint(m[1], 10, 32)
			s.pids = append(s.pids, uint32(pid))
		}
		slices.Sort(s.pids)
		s.pids = slices.Compact(s.pids)
		name := socketName{netns, way{local, remote}}
		if had, ok := k.socks[name]; ok && had.open && !s.open {
			continue // TIME_WAIT of an earlier connection with the same tuple
		}
		k.socks[name] = s
	}
	return nil
}

func socketAddr(s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), err
}
