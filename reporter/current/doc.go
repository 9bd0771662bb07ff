/*
Package current is the state machine of the current rules.

Conntrack messages become flows, keyed by source, zone, conntrack id and original tuple. A flow
is established once a message shows that a reply was seen, and an established state or, if it has
no state, a status that only established flows have (ASSURED, OFFLOAD, HW_OFFLOAD). It ends with
TIME_WAIT, CLOSE, DESTROY, or a complete dump that lacks it.

Tables of /proc/net become socket rows, which are current from the end of one walk of /proc to the
end of the next. A row that was read before a flow of its tuple ended does not count.

Files in reading order, first the state:

	machine.go     Machine: the record kinds
	messages.go    how a conntrack message or dump changes flows
	flows.go       the table of flows
	tuple.go       tuples of sockets
	sockets.go     tables of /proc/net
	contents.go    what a walk of /proc found, and how much that may be
	walk.go        how a walk of /proc makes new tables current
	suppress.go    rows that do not count, and the rows of a flow
	owners.go      the processes that have sockets open
	listeners.go   listening sockets
	names.go       names from DNS answers and reverse look-ups

Then a report, in steps that make values from values:

	report.go        Report: the steps in order
	gather.go        the flows that the report may show
	link.go          chains: flows of several namespaces that are one connection
	observe.go       what the flows of a chain show together
	join.go          the sockets of a chain
	rows.go          connections that only rows show
	direction.go     which end is the client
	connections.go   all connections, in order
	endpoints.go     their ends, in order
	attempts.go      what was tried and never established

	carry.go, carry_flows.go, carry_sockets.go   the state, for carry records

# Ends and sockets

A flow translates the client's tuple, as the client sends it, to the server's, as the server
receives it. Flows of several namespaces are linked if the packets leave one with the tuple with
which they enter the next. The client's socket has the first tuple as local and remote address;
the server's socket has the last tuple as remote and local address.

	client row            original tuple        reply tuple reversed         server row
	10.0.0.1:4000 > VIP   10.0.0.1:4000 > VIP   10.0.0.1:4000 > pod:8080     pod:8080 > 10.0.0.1:4000

The most certain evidence shows which end is the client: a handshake that was seen, a listening
socket, the order of the flow's original tuple, the order of the ports.

If two flows may have the same socket or the same position in a chain, the lower zone comes
first, then the flow that was first seen.

# What surprises

A connection that closed is in one more report, with Closed set and with the processes that its
sockets had when they were last read.

A name is valid for its time-to-live, but for a second at least. A connection that was first seen
while the name was valid keeps it. A failed reverse look-up removes no names. If an address is
removed from a full cache while a name is valid, the source of the name is degraded for that
window.
*/
package current
