// Command bench measures topotape against conntrack -E on real traffic, in the
// network lab of package netlab, and prints tables in markdown.
//
// Whatever is compared is measured in one run, on the same traffic, in rounds
// that take turns: a figure is the median of the rounds with the least and the
// greatest behind it, and the ratios are what another machine should see too.
//
//	idle     what walking /proc costs with many idle network namespaces
//	size     bytes an event on tape
//	events   CPU an event, kernel to file, together with conntrack -E and each alone
//	host     what the watched host pays: connect latency and connections a second
//	replay   records a second on one core, of a tape built from recorded ones
//	formats  size and reading speed of the same events on tape, as pcapng, text and XML
//	verbs    time and memory of every verb on a tape of 1 GiB
//
// # How the figures are made
//
// CPU is what wait4(2) says of the whole process: user and system, all threads,
// from its start to its end, so starting up, the first dump, the walks of /proc
// and closing the file are in it. Nothing is subtracted. Time that the kernel
// spends on an event before it is in a socket's queue is not in it: the sender
// of the packet pays for that, and "host" shows it.
//
// Events are counted where they arrive: records on the tape, lines of
// conntrack's output. Lost events are the kernel's own count for each socket:
// the gaps on the tape, and the Drops column of /proc/net/netlink.
//
// The gateway's conntrack table is flushed before each recording, so that no
// round starts with the entries of the one before, and an entry stays 5 s
// instead of 120 s in TIME_WAIT, so that the ends of connections are among the
// events. The clients keep 15,000 of their own sockets in TIME_WAIT, what 15 s
// of traffic leave: with all sources each walk of /proc reads and records them.
//
// It needs root, and the commands ip, nft, dnsmasq, conntrack and taskset
// (Debian packages iproute2, nftables, dnsmasq-base, conntrack, util-linux).
package main
