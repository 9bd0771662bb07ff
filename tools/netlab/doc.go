// Package netlab builds a small network of real network namespaces on one
// Linux host, makes real connections in it, and writes down the ground truth:
// every connection it made, as the client and the server each saw it. What a
// recorder claims can then be compared with what is known to be true.
//
// # The lab
//
//	client netns              gateway netns             server netns
//	┌────────────────┐        ┌───────────────┐        ┌──────────────────┐
//	│ 198.18.0.2-9   │ eth0   │ 198.18.0.1    │   eth0 │ 198.18.1.2-9     │
//	│ fd00:18::2     ├────────┤ fd00:18::1    │        │ fd00:18:1::2-9   │
//	│                │     c0 │               │        │ 198.19.0.10, .11 │ "outside"
//	│ lab-client     │        │    198.18.1.1 ├────────┤                  │
//	│ lab-client-6   │        │  fd00:18:1::1 │ s0     │ lab-server       │
//	│ lab-dns-client │        │               │        │ lab-server-hi    │
//	│ lab-lo-a       │        │ conntrack,NAT │        │ lab-lo-b         │
//	│ lab-lo-a-srv   │        │    198.18.2.1 │ d0     │ lab-lo-b-srv     │
//	└────────────────┘        └───────┬───────┘        └──────────────────┘
//	                                  │
//	                          198.18.2.53, fd00:18:2::53
//	                           DNS netns: dnsmasq
//
// Only the gateway tracks connections. Its rules:
//
//	198.18.0.1:80             DNAT to 198.18.1.2:8080
//	[fd00:18::1]:80           DNAT to [fd00:18:1::2]:8080
//	198.18.0.1:30080          DNAT to 198.18.1.8:8080, and masqueraded (a node port)
//	198.18.0.1:18000-18031    DNAT to 198.18.1.2, same port (load)
//	198.19.0.10               masqueraded, source port kept where possible
//	198.19.0.11               masqueraded to source ports 1024-7999 (below the server's)
//	everything else           routed
//
// A SYN to 198.18.1.2:7007 is dropped by the server's host, so the gateway sees
// SYN_SENT without a reply; the SYN-ACK of 198.18.1.2:7008 is dropped by the
// client's host, so the gateway sees SYN_RECV. Neither is a connection.
// Nothing listens on 198.18.1.2:7009: the SYN meets a RST.
//
// # Processes
//
// Every client and server is a process of its own: the running program started
// again, with a name of its own in comm, driven over its standard input and
// output, so that the lab's own control makes no connection. A program that
// uses this package therefore calls [RunWorkerIfAsked] first thing in main or
// TestMain.
//
// There are no PID namespaces: whoever walks /proc, in whatever network
// namespace, sees all processes of the lab. A recorder belongs in the gateway;
// [Lab.Command] starts one there.
//
// # The truth
//
// A client begins each connection with 16 random bytes, which the server
// reports together with the addresses it sees, and sends back. A connection of
// the truth is joined by those bytes, not by addresses. An answered connect is
// complete only when the server's view is known.
//
// Connections to the DNS server over TCP are truth as well. There the server's
// end is dnsmasq's, known from the lab's layout (nothing translates it), its PID
// unknown (0) because dnsmasq forks for each.
//
// # Limits that surprise
//
//   - lab-server is dual-stack: its IPv4 connections stand in /proc/net/tcp6 only,
//     as ::ffff:a.b.c.d. lab-server-hi is IPv4 only.
//   - nf_conntrack_max of a namespace is the host's: only the first namespace
//     may change it. [Lab.Load] refuses what would overflow the table.
//   - A closed connection stays in the gateway's table for 120 s (TIME_WAIT),
//     a reset one for 10 s, and its client port in the client's namespace for 60 s.
//   - Connections made before a recorder starts emit no events at all under
//     nf_conntrack_events=2; [Lab.Hold] makes such.
//
// Building takes root, and the commands ip, nft and dnsmasq (Debian packages
// iproute2, nftables, dnsmasq-base).
package netlab
