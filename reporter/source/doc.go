/*
Package source keeps what all rule sets need to know of a tape's sources.

Files in reading order:

	source.go     Source and Sources: which namespace a source sees, and its coverage
	ticks.go      ticks and windows
	table.go      keys of the tables of /proc/net
	networks.go   local networks
	carry.go      the parts of a state that all rule sets have, for carry records

A gap, a failed walk, and the closing of a source degrade it: ends of connections may be missing. A complete dump of conntrack or walk of /proc shows all connections
again, and the source recovers. Sources of names have no such dump: a lost name degrades them for
one window.

Records may come from sources that no record opened, as on hand-written tapes. Their kind follows
from the kind of the record, or from the usual number of the source.
*/
package source
