package source

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/carry"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/report"
)

// Counters are the last values of the host's counters, by network namespace and file.
type Counters []counterFile

// A counterFile has the counters of one file.
type counterFile struct {
	netns uint64
	name  string
	list  []procnet.Counter
}

// Limits of what Counters keeps. A host with 4,096 CPUs has 16,384 counters in a namespace.
const (
	maxCounterFiles = 1 << 10
	maxCounters     = 1 << 17
)

// Add applies a counters record. It returns what happened on the host since the record before, at
// the given time, and how many TCP connections the kernel opened. known is false if the record
// does not show that number; in the first record it is 0.
func (c *Counters) Add(p *capture.Counters, at int64) (events []report.HostEvent, opened uint64, known bool) {
	var g growth
	for i := range p.Files {
		f := &p.Files[i]
		last, now := c.replace(p.Netns, f.Name, procnet.Counters(f.Name, f.Text))
		g.add(last, now)
		known = known || f.Name == opensFile && now != nil
	}
	return g.events(at), max(g.of(procnet.TCPActiveOpens), g.of(procnet.TCPPassiveOpens)), known
}

// opensFile is the file that shows how many connections were opened.
const opensFile = "/proc/net/snmp"

// replace replaces the counters of a file. It returns the old and the new ones, nil if there are
// none.
func (c *Counters) replace(netns uint64, name string, now []procnet.Counter) (last, _ []procnet.Counter) {
	at, found := slices.BinarySearchFunc(*c, counterFile{netns: netns, name: name}, counterFile.compare)
	if found {
		last = (*c)[at].list
		*c = slices.Delete(*c, at, at+1)
	}
	if len(now) > 0 && len(*c) < maxCounterFiles && c.total()+len(now) <= maxCounters {
		*c = slices.Insert(*c, at, counterFile{netns, name, now})
	}
	return last, now
}

func (f counterFile) compare(o counterFile) int {
	return cmp.Or(cmp.Compare(f.netns, o.netns), strings.Compare(f.name, o.name))
}

// total returns the number of counters.
func (c Counters) total() (n int) {
	for i := range c {
		n += len(c[i].list)
	}
	return n
}

// A growth is by how much counters grew, one element for each name.
type growth []procnet.Counter

// add adds by how much the new counters are larger than the old ones. A counter that went back
// wrapped around or was reset, and a CPU that only one list has was switched on or off: it is not
// known how much they count.
func (g *growth) add(last, now []procnet.Counter) {
	for _, c := range now {
		if at, found := slices.BinarySearchFunc(last, c, procnet.Counter.Compare); found && c.Value > last[at].Value {
			g.count(c.Name, c.Value-last[at].Value)
		}
	}
}

// count adds n to one counter.
func (g *growth) count(name string, n uint64) {
	at := slices.IndexFunc(*g, func(c procnet.Counter) bool { return c.Name == name })
	if at < 0 {
		*g = append(*g, procnet.Counter{Name: name, Value: n})
		return
	}
	(*g)[at].Value = addCounts((*g)[at].Value, n)
}

// addCounts returns the sum, at most the largest number.
func addCounts(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// of returns by how much a counter grew.
func (g growth) of(name string) uint64 {
	for _, c := range g {
		if c.Name == name {
			return c.Value
		}
	}
	return 0
}

// events returns what the growth shows, by name. The kernel counts an overflow of a listener's
// queue also as a drop by the listener: then only further drops are an event.
func (g growth) events(at int64) (out []report.HostEvent) {
	for _, what := range [...]string{procnet.ListenDrops, procnet.ListenOverflows, procnet.ConntrackDrop, procnet.ConntrackEarlyDrop,
		procnet.ConntrackInsertFailed, procnet.SoftnetDropped} {
		n := g.of(what)
		if n > 0 && (what != procnet.ListenDrops || n > g.of(procnet.ListenOverflows)) {
			out = append(out, report.HostEvent{At: at, What: what, Count: n})
		}
	}
	return out
}

// carry codes the counters. They must be sorted.
func (c *Counters) carry(code *carry.Coder) {
	carry.List(code, (*[]counterFile)(c), 3, func(code *carry.Coder, f *counterFile) {
		code.Check(!code.Reading() || len(*c) < maxCounterFiles)
		carry.Uint(code, &f.netns)
		code.String(&f.name)
		carry.List(code, &f.list, 3, func(code *carry.Coder, n *procnet.Counter) {
			code.Check(!code.Reading() || len(f.list) < maxCounters)
			carryCounter(code, n)
		})
		code.Check(len(f.list) > 0 && slices.IsSortedFunc(f.list, procnet.Counter.Compare))
	})
	code.Check(c.total() <= maxCounters && slices.IsSortedFunc(*c, counterFile.compare))
}

func carryCounter(code *carry.Coder, c *procnet.Counter) {
	code.String(&c.Name)
	carry.Uint(code, &c.CPU)
	carry.Uint(code, &c.Value)
}
