package collect

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/topotape/topotape/capture"
)

// noEvents is why conntrack is blind while the kernel sends no events.
const noEvents = "net.netfilter.nf_conntrack_events is 0: the kernel sends no events"

// A settingsWatch looks at what makes conntrack blind in its network namespace:
// the setting nf_conntrack_events, which can be changed at any time, and that no
// rule of the namespace needs the tracking of connections.
type settingsWatch struct {
	events, entries, snmp, sockstat rereadable
	buf                             []byte

	off       bool   // the kernel sends no events
	good      int64  // time of the last look at which it sent them; 0 if there was none
	untracked uint64 // connections that were seen while the table was empty
}

// open opens the files of the calling thread's namespace and looks at them.
func (w *settingsWatch) open(now int64) {
	w.buf = make([]byte, 4096)
	w.events = newRereadable("/proc/sys/net/netfilter/nf_conntrack_events")
	w.entries = newRereadable("/proc/sys/net/netfilter/nf_conntrack_count")
	w.snmp = newRereadable("/proc/net/snmp")
	w.sockstat = newRereadable("/proc/net/sockstat")
	w.look(now)
}

func (w *settingsWatch) close() {
	w.events.close()
	w.entries.close()
	w.snmp.close()
	w.sockstat.close()
}

// look reads the settings. It reports whether the kernel stopped sending events
// since the last look, or sends them again.
func (w *settingsWatch) look(now int64) (switched bool) {
	off := w.value(&w.events) == "0"
	if w.value(&w.entries) != "0" {
		w.untracked = 0
	} else if w.untracked == 0 {
		w.untracked = w.connections()
	}
	switched = off != w.off
	w.off = off
	if !off && !switched {
		w.good = now
	}
	return switched
}

// connections returns how many TCP connections are established or in TIME_WAIT,
// which conntrack keeps for longer than the sockets.
func (w *settingsWatch) connections() uint64 {
	const currEstab = 9 // place of the counter after the line's name
	var established uint64
	if fields := bytes.Fields(tcpLine(w.snmp.read(w.buf))); len(fields) > currEstab {
		established, _ = strconv.ParseUint(string(fields[currEstab]), 10, 64)
	}
	line, _ := lineOf(w.sockstat.read(w.buf), "TCP:")
	waiting, _ := numberAfter(line, "tw")
	return established + waiting
}

func (w *settingsWatch) value(f *rereadable) string {
	return string(bytes.TrimSpace(f.read(w.buf)))
}

// why returns why the source is degraded, besides the gaps.
func (w *settingsWatch) why() (list []string) {
	if w.off && w.good == 0 {
		list = append(list, noEvents+", only dumps are recorded: sysctl -w net.netfilter.nf_conntrack_events=1")
	}
	if w.untracked > 0 {
		list = append(list, fmt.Sprintf("none of %d TCP connections is in conntrack's table: no rule of this network namespace needs connection tracking; "+
			"add one, such as: nft 'table inet track { chain c { type filter hook output priority 0; ct state new counter; }; }'", w.untracked))
	}
	return list
}

// watchSettings looks at the settings once an interval until ctx is done, and once
// more then. While the kernel sends no events, messages are lost that nobody
// counts: there is a gap when that is noticed, and another one, with a dump, when
// the kernel sends events again. If the reasons differ from those in the source
// record, another one follows.
func (c *Conntrack) watchSettings(ctx context.Context, source capture.Source) {
	looks := time.NewTicker(c.cfg.Interval)
	defer looks.Stop()
	w := &c.watch
	for more := true; more; {
		select {
		case <-looks.C:
		case <-ctx.Done():
			more = false
		}
		now := c.cfg.Clock()
		if w.look(now) {
			c.marks.put(capture.KindGap, &capture.Gap{Why: noEvents, Since: w.good})
			why := ""
			if w.off {
				why = noEvents
			} else {
				c.lost.note(time.Now())
				w.good = now
			}
			c.why.events.Store(&why)
		}
		if why := c.sourceWhy(); why != source.Why {
			source.Why = why
			changed := source
			c.marks.put(capture.KindSource, &changed)
			c.why.source.Store(&why)
		}
	}
}
