package collect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/topotape/topotape/capture"
	"golang.org/x/sys/unix"
)

// ConntrackConfig configures the recording of connection tracking. Only Clock
// has no default.
type ConntrackConfig struct {
	Source    uint32        // number that the records carry
	Clock     Clock         // stamps the records
	Buffer    int           // bytes of socket buffer to request; 0 is 64 MiB; the kernel grants twice as much
	Reconcile time.Duration // between two dumps of the table if nothing is lost; 0 is 5 min
	Interval  time.Duration // between two looks at the settings; 0 is 3 s
	Allowance *Allowance    // of the tape; nil has no bound
}

// Conntrack records the conntrack events of its network namespace, and dumps
// of its table.
type Conntrack struct {
	cfg    ConntrackConfig
	events eventSocket
	table  *tableSocket
	watch  settingsWatch
	marks  markQueue
	lost   lossWatch
	source capture.Source
	count  struct{ received, lost atomic.Uint64 }
	looked int64 // when the receiver last read the count of drops
	shed   shedding
	why    struct{ source, events, shed, dump atomic.Pointer[string] }
}

// NewConntrack returns a collector that is not open yet.
func NewConntrack(cfg ConntrackConfig) *Conntrack {
	if cfg.Buffer <= 0 {
		cfg.Buffer = 64 << 20
	}
	if cfg.Reconcile <= 0 {
		cfg.Reconcile = 5 * time.Minute
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 3 * time.Second
	}
	return &Conntrack{cfg: cfg, lost: newLossWatch()}
}

// Open subscribes to the events of the calling thread's network namespace.
func (c *Conntrack) Open() (err error) {
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.table, err = openTable(); err != nil {
		return err
	}
	fd, err := netfilterSocket(unix.SOCK_NONBLOCK)
	if err != nil {
		return err
	}
	if err := c.events.open(fd, c.cfg.Buffer, unix.NFNLGRP_CONNTRACK_NEW, unix.NFNLGRP_CONNTRACK_UPDATE, unix.NFNLGRP_CONNTRACK_DESTROY); err != nil {
		return err
	}
	if err := c.marks.open(); err != nil {
		return err
	}
	c.looked = c.cfg.Clock()
	c.watch.open(c.looked)
	c.source = capture.Source{Open: true, Kind: capture.SourceConntrack, Netns: netnsInode(), Buffer: uint64(c.events.buffer)}
	c.source.Why = c.sourceWhy()
	c.why.source.Store(&c.source.Why)
	return nil
}

// sourceWhy returns why the source record says that the source is degraded.
func (c *Conntrack) sourceWhy() string {
	why := c.watch.why()
	if got := c.events.buffer / 2; got < c.cfg.Buffer {
		why = append(why, fmt.Sprintf("the socket buffer is %d bytes where %d were asked for: run with CAP_NET_ADMIN of the initial user namespace, or raise net.core.rmem_max", got, c.cfg.Buffer))
	}
	return strings.Join(why, "; ")
}

// Describe returns lines about what the open collector would see.
func (c *Conntrack) Describe() []string {
	entries := "an unknown number of"
	if n := sysctl("nf_conntrack_count"); n != "" {
		entries = n
	}
	lines := []string{
		fmt.Sprintf("%s entries of at most %s in the table of network namespace %d", entries, sysctl("nf_conntrack_max"), c.source.Netns),
		fmt.Sprintf("socket buffer %d bytes: about %d events", c.source.Buffer, int(c.source.Buffer)/eventTruesize),
	}
	if entries == "0" && c.watch.untracked == 0 {
		lines = append(lines, "no connection is tracked now: if connections exist, no rule of this network namespace needs connection tracking")
	}
	var set []string
	for _, name := range []string{"nf_conntrack_events", "nf_conntrack_acct", "nf_conntrack_timestamp", "nf_conntrack_tcp_loose"} {
		if v := sysctl(name); v != "" {
			set = append(set, name+"="+v)
		}
	}
	return append(lines, strings.Join(set, " "))
}

// Drain requests that Run reads the socket until it is empty and then sends a
// batch, maybe without records, whose Drained is n. The numbers must grow. It
// may be called from any goroutine.
func (c *Conntrack) Drain(n uint64) { c.marks.drain(n) }

// Stats counts messages: events and the entries of dumps.
func (c *Conntrack) Stats() Stats {
	s := Stats{Received: c.count.received.Load(), Lost: c.count.lost.Load()}
	for _, why := range []*string{c.why.events.Load(), c.why.shed.Load(), c.why.source.Load(), c.why.dump.Load()} {
		if why != nil && *why != "" {
			s.Why = *why
			return s
		}
	}
	if first, _ := c.lost.seen(); !first.IsZero() {
		s.Why = "messages were lost that no dump has made up for yet"
	}
	return s
}

// Run records until ctx is done, then the events that the kernel has queued.
func (c *Conntrack) Run(ctx context.Context, out chan<- *Batch) error {
	defer c.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dumped := make(chan error, 1)
	source := c.source // the receiver uses the other one
	go func() {
		var watching sync.WaitGroup
		watching.Go(func() { c.watchSettings(ctx, source) })
		err := c.dumpLoop(ctx, out)
		watching.Wait()
		c.marks.stop() // only now: dumps and gaps need the receiver
		dumped <- err
	}()
	err := c.receive(out)
	c.marks.fail()
	cancel()
	return errors.Join(err, <-dumped)
}

func (c *Conntrack) close() {
	c.marks.close()
	c.events.close()
	c.table.close()
	c.watch.close()
}

// sysctl returns one of conntrack's settings in the calling thread's network
// namespace, "" if there is none.
func sysctl(name string) string { return readLine("/proc/sys/net/netfilter/" + name) }
