package render

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/reporter/report"
)

// hostLines writes a line for each kind of event of the host, in the order of their first
// ones. start is Unix ns at the recording's start.
func hostLines(b *bytes.Buffer, events []report.HostEvent, start int64) {
	var kinds []report.HostEvent // the sum of a kind, at its last event
	var first []int64
	for _, e := range events {
		at := slices.IndexFunc(kinds, func(k report.HostEvent) bool { return k.What == e.What })
		if at < 0 {
			kinds, first = append(kinds, e), append(first, e.At)
			continue
		}
		k := &kinds[at]
		k.At, k.Count = e.At, k.Count+min(e.Count, math.MaxUint64-k.Count)
	}
	for i, k := range kinds {
		when := fmt.Sprintf("at +%s", hostTime(k.At-start))
		if k.At != first[i] {
			when = fmt.Sprintf("between +%s and +%s", hostTime(first[i]-start), hostTime(k.At-start))
		}
		if i == 0 {
			b.WriteByte('\n')
		}
		quote.Line(b, "host: %s %d %s%s", k.What, k.Count, when, HostEventReason(k.What))
	}
}

func hostTime(ns int64) time.Duration { return time.Duration(ns).Round(time.Millisecond) }

// HostEventReason returns what an event of the host means and what to do, with a colon before it, or
// "" if that is not known.
func HostEventReason(what string) string {
	if reason := hostReasons[what]; reason != "" {
		return ": " + reason
	}
	return ""
}

// hostReasons are by the kernel's name of the counter.
var hostReasons = map[string]string{
	"nf_conntrack drop":          "the conntrack table was full and packets were dropped; raise net.netfilter.nf_conntrack_max",
	"nf_conntrack early_drop":    "the conntrack table was nearly full and entries were removed early; raise net.netfilter.nf_conntrack_max",
	"nf_conntrack insert_failed": "new connections had the tuple of another one and were dropped; let source NAT choose ports at random (fully-random, --random-fully)",
	"TcpExt ListenOverflows":     "servers accepted connections too slowly and further ones were dropped; raise their backlog and net.core.somaxconn",
	"TcpExt ListenDrops":         "listening sockets dropped connections, also for lack of memory; look at the servers and their memory",
	"softnet dropped":            "the host received packets faster than its CPUs handled them, and dropped some; raise net.core.netdev_max_backlog or spread the load (RPS)",
	"attempts left out":          "a report lists a limited number of attempts; the tries of further ones are only counted",
	"recorder stall":             "the recorder was stopped, frozen or starved; give it CPU time",
}
