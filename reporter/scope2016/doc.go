/*
Package scope2016 is the state machine of the rules of 2016: it reports what the endpoint
reporter of Weave Scope reported on 2016-09-26, with its defects, so that a bug report of that
time can be replayed and compared.

Files in reading order:

	machine.go   Machine: the record kinds
	tuple.go     a tuple as the original kept it
	flows.go     conntrack messages, as the original's two conntrack processes gave them
	proc.go      tables of /proc/net, their rows and the owners of sockets
	names.go     names from DNS answers and from reverse look-ups
	report.go    the topology: nodes, their servers, and copies for NAT
	sets.go      sets of indexes that nodes share
	view.go      the topology as a report and as the view of Weave Scope
	carry.go     the state, for carry records

The original draws a node for each address and port, and not for each connection. NAT is a copy
of a node under another address. The view of Weave Scope (report.ScopeReport) is this graph. The
other fields of a report follow from it:

  - Connections are the adjacencies between nodes that are not copies. If several flows or rows
    show one, its state is that of the first that has not ended, flows before rows, and its
    times span all of them.
  - Endpoints are the nodes that are not copies, and the addresses of the copies are aliases. A
    node has at most one process.
  - A node whose address could not be read ("<nil>") is only in the view.

The original depended on the order of Go maps and on the timing of goroutines. This machine
always makes the same one of the possible choices; comments that begin with "Chosen" say which.
The tests compare it with recorded answers of the original, and with a slow model.
*/
package scope2016
