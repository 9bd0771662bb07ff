// Package collect is the kernel side of recording: it touches sockets and
// /proc, stamps the time, and hands over batches of raw bytes. It parses
// nothing beyond the frame that tells one message from the next, so no bug of
// a decoder can cost a record.
//
// # The seam
//
// A [Collector] sends a [Batch] at a time. Nothing but bytes and fixed headers
// crosses, so the two sides may as well be two processes. What both sides can
// rely on:
//
//   - The first record of a collector is of KindSource. It says what Open
//     obtained, and in Why what it did not.
//   - Records stand in the kernel's order, stamped with a time that never
//     decreases. They carry no number yet.
//   - A loss is a gap record at the place where it was noticed. Nothing is ever
//     left out silently.
//   - Whoever receives goes on receiving until Run has returned, and releases
//     every batch.
//   - Constructors start nothing; Run waits for whatever it started.
//
// # Conntrack
//
// One netlink socket carries NEW, UPDATE and DESTROY, because three would lose
// their order. It is subscribed in Open, before the first dump of the table.
//
//	kernel ── socket buffer ── recvmmsg ── batch ──> scribe
//	                │                        │
//	            SO_MEMINFO ── grew ──> gap, then a dump
//
// One goroutine sleeps until the first event, then takes what came every
// 10 ms, so that a wake-up is paid for by many messages. recvmmsg writes
// straight into the batch's arena; in steady state nothing is allocated. When
// all batches are on their way, it waits, and the kernel's buffer fills.
//
// What surprises:
//
//   - The kernel counts every message that did not fit (the Drops column of
//     /proc/net/netlink). NETLINK_NO_ENOBUFS keeps it from interrupting the
//     reader as well; without it the kernel drops all that comes until the
//     buffer is empty. The one loss it does not count is a message for which
//     the kernel had no memory.
//   - An event takes about 1,280 bytes of buffer, six times its length.
//   - A gap stands where the counter was seen to grow. Messages that were
//     queued before the loss may still follow it; the dump that repairs it
//     comes after all of them.
//   - The begin and the end of a dump go through the goroutine that reads the
//     events: what was queued before stands before them.
//   - Flows that are older than the first listener emit no events at all
//     (nf_conntrack_events=2): only dumps show them.
//   - A network namespace tracks nothing until a rule needs it.
//   - An event that a process caused (conntrack -D) carries that process's
//     port id in its header, so the header does not tell that the kernel sent
//     it. The socket is connected to the kernel instead: others can't send to it.
//
// # Reverse names
//
// The one collector that sends something, and so the only one that is off
// unless it is asked for: the host's name servers learn whom the host talks to.
// The recorder tells it the addresses of each report, and never waits for it.
//
//	report ── LookUp ─> waiting (4,096) ── 10 a second, 8 at a time ──> resolver ──> record
//	                      └─ too many: the one that waits longest is dropped ──> gap
//
// A name holds for 30 minutes, since Go's resolver does not tell the
// time-to-live; after a failure the address is asked for again in a minute. The
// dns source sees the packets of these look-ups; they name nothing, as their
// questions are for PTR records.
package collect
