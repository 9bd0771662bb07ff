/*
Package source keeps what all rule sets need to know of a tape's sources.

Files in reading order:

	source.go     Source and Sources: which namespace a source sees, and its coverage
	ticks.go      ticks and windows
	table.go      keys of the tables of /proc/net
	processes.go  the processes that own sockets, and the bound of their lists
	counters.go   the host's counters, and what their growth shows
	host.go       events of the host, and how many connections conntrack should have seen
	networks.go   local networks
	carry.go      the parts of a state that all rule sets have, for carry records

A gap, a failed walk, and the closing of a source degrade it: ends of connections may be missing. A complete dump of conntrack or walk of /proc shows all connections
again, and the source recovers. Sources of names and of closed sockets have no such dump: a lost name or
socket degrades them for one window. A table that changed while sock_diag listed it degrades proc until
the next complete walk.

A counters record says what a source cannot know of itself: that the kernel sends no events, or
that it opened many connections of which conntrack shows few, because no rule asks for tracking.
A stall of the recorder degrades proc until the next complete walk. Drops by the kernel degrade no
source, because they are no loss of the recorder: they are events of the host. Counters and stalls
come from the recorder, source 0, which has no coverage: those that cannot be decoded are ignored.

Records may come from sources that no record opened, as on hand-written tapes. Their kind follows
from the kind of the record, or from the usual number of the source.
*/
package source
