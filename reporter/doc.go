/*
Package reporter is the deterministic core of topotape: records in, reports out.

	for each record:
		if r.Step(record) {   // it was a tick
			report := r.Report()
		}

Live recording and replay run this very code; they differ only in where the records
come from. The core has no clock, no goroutine and no random number, and no order of
a map reaches its output: the same records give the same bytes on any machine.

# From records to connections

Conntrack messages become flows, keyed by source, zone, conntrack id and original
tuple (messages.go, flows.go). A flow shows a connection once a message with a reply seen
shows an established past; it ends with TIME_WAIT, CLOSE, its destruction, or a whole
table dump that lacks it.

Tables of /proc/net become socket rows, current from the end of one walk of /proc to
the end of the next (sockets.go, walk.go). A row read before a flow of its tuple ended does
not count (suppress.go).

At a tick a report is made (report_current.go), in steps of which each makes values from
values:

	gather.go        the flows that the window shows, in the order in which they were first seen
	link.go          their chains: flows of several namespaces that are one connection
	observe.go       what the flows of a chain show together
	join.go          the sockets of a chain's ends
	direction.go     which end is the client
	rows.go          the connections of rows that no flow explains
	connections.go   all connections, in the report's order
	endpoints.go     their ends, by scope, address and port
	names.go, sources.go   the names of their addresses, and how well the sources saw

A flow maps the client's tuple, as the client sends it, to the server's, as the server
receives it. Flows of several namespaces are linked where one leaves with the tuple with
which the next enters. A socket whose local and remote address are the first tuple is the
client's; one whose remote and local address are the last is the server's.

	client row            original tuple        reply tuple reversed         server row
	10.0.0.1:4000 > VIP   10.0.0.1:4000 > VIP   10.0.0.1:4000 > pod:8080     pod:8080 > 10.0.0.1:4000

The best evidence there is shows which end is the client: a handshake that was seen, a
listening socket, the flow's own order, the order of the ports.

Where two flows have equal claims, to a socket or to a place in a chain, the lower zone
goes first, then the flow that was first seen. No order of a map or of memory counts.

# The rules of 2016

The rule set scope2016 is another state machine behind the same Step (scope2016*.go). It
says what the endpoint reporter of Weave Scope said on 2016-09-26, with its defects, so
that a bug report of that time can be replayed and compared. It draws a node for each
address and port and not for each connection; NAT is a copy of a node under another
address. Report.Scope is that graph. Its connections are the adjacencies between
nodes that are no copies, its endpoints those nodes, with the addresses of their copies
as aliases; a node has one process, so all of its connections have. A node whose
address could not be read ("<nil>") stands in the graph alone. The state of a connection
that several flows or rows show is that of the first living one, flows before rows, and
its times span all of them.

# What is carried

A tape that does not begin with its recording has carry records: all that a core knew
there (carry*.go). A reporter of the same rules, core version and layout that is shown
them makes the same reports from then on. The state is what is known, not how memory
lies: flows in the order in which they were first seen, tables, names, and of each its
fields, in the order of the functions called carry, without names. Indices and counts are
made again from them. A test compares the states by reflection, so that a new field is not
forgotten. carryLayout counts the versions of that format, which is private to this
package.

A state is hostile until it is read: it is built in a machine of its own, whose lists
and sums are checked, and which replaces the old one only when all of it was good.
Otherwise it is ignored. Then the records that precede it count, those that Evidence
chose: they show the most important things to any core.

# What surprises

A report may be asked for after every tick, and need not be: a report does not depend on
which others were made.

A connection that closed is in one more report, with Closed set. It then keeps the
processes that its sockets had when they were last read.

Coverage counts run from the recording's start and never go down.

A name lives for its time-to-live, at least a second, and on for connections that were
first seen before it ran out. A reverse look-up that fails changes nothing: the names that
were found before live on, and those that are found later count at once. Answers by TCP and
in fragments count when they are complete (package dnsmsg). Names are bounded (names.go): if
a valid one is forgotten, its source is degraded for that window.
*/
package reporter
