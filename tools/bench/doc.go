// Command bench measures topotape against conntrack -E on real traffic, in the
// network lab of package netlab, and prints tables in markdown.
//
// One run measures everything that is compared, with the same traffic, in rounds that
// alternate. A figure is the median of the rounds, followed by the least and the greatest.
// The ratios should be similar on another machine.
//
//	idle     CPU for walks of /proc with many idle network namespaces
//	size     bytes an event on tape
//	events   CPU an event, kernel to file, together with conntrack -E and alone
//	host     cost for the recorded host: connect latency and connections a second
//	replay   records a second on one core, of a tape made of recorded events
//	formats  size and reading speed of the same events on tape, as pcapng, text and XML
//	verbs    time and memory of every verb on a tape of 1 GiB
//
// Each section has a file of its own; events.go has the recorders and size too. process.go
// starts and observes processes, tape.go makes large tapes, table.go prints.
//
// # How it measures
//
// CPU is from wait4(2) for the whole process: user and system time of all threads, from
// start to end. It includes starting, the first dump, the walks of /proc and closing the
// file. It does not include the kernel's time for an event before the event is in a
// socket's queue: that is time of the sender of the packet, and "host" shows it.
//
// Events are counted at their destination: records on the tape, lines of conntrack's
// output. Lost events are the kernel's count for each socket: the gaps on the tape, and the
// Drops column of /proc/net/netlink.
//
// Each recording starts with an empty conntrack table in the gateway. TIME_WAIT lasts 5 s
// instead of 120 s there, so that the events include the ends of connections. The clients
// keep 15,000 sockets in TIME_WAIT, as many as 15 s of traffic leave: with all sources each
// walk of /proc reads and records them.
//
// It needs root, and the commands ip, nft, dnsmasq, conntrack and taskset (Debian packages
// iproute2, nftables, dnsmasq-base, conntrack, util-linux).
package main
