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
tuple (flows.go). A flow shows a connection once a message with a reply seen tells of
an established past; it ends with TIME_WAIT, CLOSE, its destruction, or a whole table
dump that lacks it.

Tables of /proc/net become socket rows, in force from the end of one walk of /proc to
the end of the next (sockets.go). A row read before a flow of its tuple ended does not
count (suppress.go).

At a tick both are joined: what shows a connection becomes a draft of one (join.go,
draft.go), the drafts are sorted, and in the report's order connections are made of them
(connect.go), and a list of their ends (endpoints.go). A flow maps the client's tuple,
as the client sends it, to the server's, as the server receives it. A socket whose local
and remote address are the first tuple is the client's; one whose remote and local
address are the last is the server's. Flows of several namespaces whose tuples meet are
one connection (chains.go). Rows that no flow explains make connections of their own.

	client row            original tuple        reply tuple reversed         server row
	10.0.0.1:4000 > VIP   10.0.0.1:4000 > VIP   10.0.0.1:4000 > pod:8080     pod:8080 > 10.0.0.1:4000

Who is the client is told by the best evidence there is: a handshake that was seen, a
listening socket, the flow's own order, the order of the ports.

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
them says from then on what that core said, in place of what it was shown before. Every
field of the state is carried but for what is made anew before it is used, in its
order where one can reach a report; a test compares the states by reflection, so that
a new field is not forgotten. How a state is written is nobody else's business: it is
the fields in the order of the functions called carry, without names, and carryLayout
counts its versions.

A state is hostile until it is read: it is built in a machine of its own, whose
lists, indices and sums are checked, and which replaces the old one only when all of it was
good. Else it is as if it were not there. Then what counts are the records in front
of it, those that Evidence chose: they tell the most important things to any core.

# What surprises

A report may be asked for after every tick, and need not be: what a report says does
not depend on which others were made.

A connection that closed is in one more report, with Closed set. It then keeps the
processes that its sockets had when they were last read.

Coverage counts run from the recording's start and never go down.

A name lives for its time-to-live, at least a second, and on for connections that were
first seen before it ran out. A reverse look-up that fails changes nothing: what was found
before lives on, and what is found later counts at once. Answers by TCP and in fragments
count when they are complete (package dnsmsg). What is known of names is bounded
(names.go): if one that still holds has to go, its source is degraded for that window.
*/
package reporter
