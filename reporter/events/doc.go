/*
Package events keeps the TCP sockets of a host as the kernel's events show them, with the processes that connected,
listened or closed. It is the state of the source "sockets": records in, sockets out. It makes no connections; package
current matches its sockets with flows and rows.

	events.go      Sockets: what an event changes
	socket.go      Socket: one life of a socket
	listeners.go   listening sockets
	attempts.go    sockets that were never established
	processes.go   the names and namespaces of processes
	carry.go       the state, for carry records

# What an event proves

The process of an event is the one that had the processor. It is evidence of a process only if the flags show that no
interrupt and no delivery of packets was going on, and only of these changes:

	CLOSE -> SYN_SENT                 connect(): the client
	CLOSE -> LISTEN                   listen(): the server
	-> FIN_WAIT1, -> LAST_ACK         close() or shutdown(): the client or the server

Kernels before 5.19 do not flag that bottom halves are off, so that a stranger's context may look like a process: unless
the release of the kernel is known to be a later one, or an event had that flag, a close names nobody. A socket that goes from ESTABLISHED to CLOSE was reset or destroyed
(ss -K): that names nobody either. LISTEN -> SYN_RECV -> ESTABLISHED runs under whoever was running.

A false process is worse than none. So after a loss of events nothing that was known about processes counts, until
records show it again.

# Attempts

A client's socket that goes from SYN_SENT to CLOSE was never established: an attempt, in the window in which it ends. The
time since its SYN and the context of the event show what became of it, the first rule that applies:

	a report showed it already                                   unanswered
	in the client's context, and it has no local port            gave-up: all ports were in use
	within 5 ms                                                  refused
	in the client's context                                      gave-up: it closed the socket, or was killed
	within 1 s                                                   refused
	later                                                        unanswered: the kernel repeated the SYN until it gave up

A reset from this host, over loopback or veth, is often processed in the client's own context, when connect() releases the
socket: after 100 µs or so, therefore the 5 ms. A router's or host's ICMP error ends a connect as a reset does.

A SYN that is unanswered for longer than one window is an attempt, too, in the report of each window until it ends, is
answered or is unsure: after a loss of events nobody knows whether it was answered. Its end is in one more report, as
unanswered, whoever ended it, so that it counts once.

These are no attempts: a socket whose begin no event shows, and SYN_RECV -> CLOSE, where the other end failed.

# What surprises

A socket keeps the namespace in which it was made. That of the thread at the time of an event is a hint only.

The name of a process is that of its leading thread. Kernel threads have no names of their own: they are "kernel", with
the number 0. While MPTCP sockets are open they name nobody, because they also connect the further paths of a process's
connection.
*/
package events
