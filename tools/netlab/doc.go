// Package netlab builds a small network of network namespaces on one Linux host, makes
// real connections in it, and returns the ground truth: every connection that it made, with
// the client's and the server's end. Compare compares a report with it.
//
// Read plan.go (what to make) and truth.go (what was made) first, then lab.go and build.go
// (the network), traffic.go, idle.go and load.go (the connections), and compare.go. The
// lab's processes are in process.go and wire.go (the lab's side), and in worker.go,
// client.go, server.go, spawn.go, prefork.go and tun.go (their own side). The forked ones
// are in child.go.
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
//	│ lab-fork       │        │               │        │ lab-fork-b       │
//	│                │        │               │        │ lab-prefork      │
//	│                │        │               │        │ lab-tun          │
//	└────────────────┘        └───────┬───────┘        └──────────────────┘
//	                                  │
//	                          198.18.2.53, fd00:18:2::53
//	                           DNS netns: dnsmasq
//
// Only the gateway tracks connections. Its rules:
//
//	198.18.0.1:80             DNAT to 198.18.1.2:8080
//	[fd00:18::1]:80           DNAT to [fd00:18:1::2]:8080
//	198.18.0.1:8090           DNAT to 198.18.1.3, same port
//	198.18.0.1:30080          DNAT to 198.18.1.8:8080, and masqueraded (a node port)
//	198.18.0.1:18000-18031    DNAT to 198.18.1.2, same port (load)
//	198.19.0.10               masqueraded, with the same source port if possible
//	198.19.0.11               masqueraded to source ports 1024-7999 (below the server's port)
//	everything else           routed
//
// The server's namespace drops a SYN to 198.18.1.2:7007, so the gateway has SYN_SENT
// without a reply. The client's namespace drops the SYN-ACK of 198.18.1.2:7008, so the
// gateway has SYN_RECV. Neither is a connection. Nothing listens on 198.18.1.2:7009: the
// answer to a SYN is a RST.
//
// # Processes
//
// Every client and server is a process of its own: the running program, started again with
// its own name in comm. The lab controls it over its standard input and output, so that
// control makes no connections. A program that uses this package therefore calls
// [RunWorkerIfAsked] first in main or TestMain.
//
// A pattern's Client may be a process of its own for every connection, named lab-short-N: it
// is forked by lab-fork, connects, and ends. lab-prefork listens, and its children accept, each
// one connection. Forked processes run no Go code that needs the runtime, so that 1,000 a second
// are possible on two idle cores. Those of [Exec] are this program, started again.
//
// lab-tun has a TCP stack of its own on a tun device, 198.18.3.2: the clients of [Userspace] are
// no sockets, have no process, and are in no namespace. Their packets reach the server's sockets
// while lab-tun writes them.
//
// There are no PID namespaces: a walk of /proc in any network namespace finds all processes
// of the lab. A recorder runs in the gateway; [Lab.Command] starts it there.
//
// # The truth
//
// A client begins each connection with 16 random bytes. The server reports them with the
// addresses that it sees, and sends them back. The lab joins the two ends of a connection by
// these bytes, not by addresses. It is an error if the server's end is missing.
//
// DNS queries over TCP are connections of the truth too. Their server is dnsmasq, whose
// address nothing translates. Its PID is unknown (0), because dnsmasq forks for each query.
//
// # What surprises
//
//   - lab-server is dual-stack: its IPv4 connections are in /proc/net/tcp6 only, as
//     ::ffff:a.b.c.d. lab-server-hi is IPv4 only.
//   - nf_conntrack_max is the host's in every namespace: only the first namespace may
//     change it. [Lab.Load] refuses a load that would fill the table.
//   - Socket events are the whole host's. Two labs have the same addresses, so that a report
//     mixes their connections: one lab at a time.
//   - A closed connection stays in the gateway's table for 120 s (TIME_WAIT), a reset one
//     for 10 s. Its client port stays in use in the client's namespace for 60 s.
//   - With nf_conntrack_events=2, a connection that was opened before a recorder starts
//     emits no events. [Lab.Hold] opens such connections.
//
// Building a lab needs root, and the commands ip, nft and dnsmasq (Debian packages
// iproute2, nftables, dnsmasq-base).
package netlab
