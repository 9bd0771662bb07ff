// Package collect is the kernel side of recording: it reads sockets and /proc,
// stamps the time, and hands over batches of raw bytes. It parses nothing
// beyond the netlink header that separates messages, so no bug of a decoder can
// cost a record.
//
// Reading order: seam.go (what a collector is), allowance.go (how much it may record),
// then one collector at a time:
//
//   - conntrack_linux.go, _events (the receiver), _socket, _marks (how dumps get
//     their place among the events), _settings (what makes it blind), _shed (too many
//     events), _dump (when to dump), _table (one dump)
//   - proc.go and proc_linux.go, walk (one walk), tables, diag (tables by sock_diag),
//     owners, counters (which tables need no reading), procfs, queue
//   - dns.go (the packet filter) and dns_linux.go
//   - sockets.go and sockets_linux.go, _tracefs (what tracefs says), _ring (one
//     processor's ring), _processors (all of them), _round (their records in the order
//     of time), _drain (requests), _snapshot (what ran before)
//   - rdns.go
//   - closes_linux.go; losses_linux.go (what dns and closes lost)
//   - host_linux.go and rtnetlink_linux.go: facts about the host
//   - hostcounters_linux.go: the host's counters and settings, as text
//
// # The seam
//
// A [Collector] sends one [Batch] at a time. Only bytes and fixed headers cross
// the seam, so the two sides could be two processes. Both sides rely on this:
//
//   - The first record of a collector is of KindSource. It says what Open
//     obtained, and in Why what it did not obtain.
//   - Records are in the kernel's order, with times that never decrease. They
//     have no number yet.
//   - A loss is a gap record at the place where it was noticed. Nothing is left
//     out silently.
//   - The receiver goes on receiving until Run has returned, and releases every
//     batch.
//   - Constructors start no goroutine; Run waits for those that it starts.
//
// # Floods
//
// Each collector has an [Allowance] of bytes. A flood that uses it up costs its own
// source only, and every loss is counted:
//
//   - dns keeps whole packets while half of the allowance is left, then 512 bytes of
//     each, then 128, and refuses the others.
//   - conntrack records no event until a quarter of the allowance is back; a dump
//     follows then.
//   - sockets leaves out the records of processes when a quarter of the allowance is
//     left, and samples when none is, each until a quarter more is back.
//   - closes refuses messages.
//   - proc skips walks, and rdns looks up no name.
//
// # Conntrack
//
// One netlink socket carries NEW, UPDATE and DESTROY, because with three sockets
// their order would be lost. It is subscribed in Open, before the first dump of
// the table.
//
//	kernel ── socket buffer ── recvmmsg ── batch ──> recorder
//	                │                        │
//	            SO_MEMINFO ── grew ──> gap, then a dump
//
// One goroutine sleeps until the first event, then receives every 10 ms what has
// queued, so that many messages share the cost of a wake-up. recvmmsg writes
// directly to the batch's arena; in steady state nothing is allocated. When all
// batches are in use, the goroutine waits, and the kernel's buffer fills.
//
// What surprises:
//
//   - The kernel counts every message that did not fit (the Drops column of
//     /proc/net/netlink). With NETLINK_NO_ENOBUFS the reader gets no error for a
//     loss; without the option the kernel would also drop everything that comes
//     until the buffer is empty. The kernel does not count one kind of loss: a
//     message for which it had no memory.
//   - An event takes about 1,280 bytes of buffer, six times its length.
//   - A gap is where the counter was seen to grow. Messages that were queued
//     before the loss can still follow the gap; the dump that repairs the loss
//     comes after all of them.
//   - The begin and the end of a dump go through the goroutine that reads the
//     events: events that were queued before are on the tape before them.
//   - Flows that are older than the first listener emit no events at all
//     (nf_conntrack_events=2): only dumps show them.
//   - A network namespace tracks nothing until a rule needs it, and
//     nf_conntrack_events can be switched off at any time. Both are looked at once
//     an interval. Time without events is a gap of an unknown number, from the last
//     look that was good; when events come again, another gap and a dump follow.
//   - A source record of an open source replaces the one before: the source is
//     degraded for another reason, or for none.
//   - An event that a process caused (conntrack -D) has that process's port id
//     in its header, so the header cannot prove that the kernel sent it. The
//     socket is connected to the kernel instead: others cannot send to it.
//
// # Tables by sock_diag
//
// After [Proc.UseSockDiag] the tables are requested from the kernel as netlink
// messages, which costs it a fifth of the text of /proc/net, a tenth if the namespace
// has no socket. What surprises:
//
//   - A netlink socket belongs to the namespace in which it is made. The thread that
//     walks enters it for one socket(2), which needs CAP_SYS_ADMIN. If it cannot return,
//     the thread ends with its goroutine and no other namespace is entered.
//   - An open socket keeps a namespace alive that has no process any more. So it is
//     closed when the table was read.
//   - Where a namespace cannot be entered, the text is read. If the kernel refuses a
//     request (no module tcp_diag), only texts are read from then on.
//   - A dump can be marked as inconsistent. A table of one part is then read once more;
//     the mark of the last reading is on the tape.
//   - The request has the states that /proc/net/tcp shows: NEW_SYN_RECV, and not
//     BOUND_INACTIVE, which Linux 6.8 added.
//
// # Closed sockets
//
// This collector is off by default. While somebody listens, the kernel makes a message
// for every TCP socket of the namespace that is closed, and a close costs the host 8 us
// instead of 6. It needs no privilege, but without CAP_NET_ADMIN its
// buffer is small. The messages have no inode and no process. The counter of drops is
// exact, as conntrack's. Sockets of other namespaces are not reported.
//
// # Sockets
//
// A perf event on the tracepoint sock:inet_sock_set_state writes every change of a TCP
// socket, with the task that had the processor, into one ring a processor, and beside
// them records of names, forks, exits, namespaces and cgroups.
//
//	kernel ── ring of processor 0 ─┐
//	       ── ring of processor 1 ─┴─ merged by time ── batch ──> recorder
//	                │
//	          PERF_RECORD_LOST ──> gap, then a list of all processes
//
// One goroutine reads all rings every 10 ms, every 50 ms while nothing comes. A round
// takes what is older than 2 ms, in the order of time; later records wait, because an
// earlier one may still appear in another ring.
//
// The tape has, in this order, the tracepoint's format, the directories of the cgroup
// hierarchy that samples name, all processes, and then the records of the rings, with
// the time at which the kernel made them. Two rules change them:
//
//   - The kernel's address of a socket is encrypted with a key that is made for the
//     recording and kept nowhere.
//   - Names and forks of threads are left out, unless the thread leads its process. Exits
//     and namespaces of all threads are recorded. This is no loss, and is not counted.
//
// What surprises:
//
//   - tracefs may not be mounted. Then a thread that is used for nothing else mounts it in
//     a mount namespace of its own and ends; the host's mounts stay as they are.
//   - An interrupt between reading the clock and writing the record lets a record have an
//     earlier time than one before it, by microseconds. The record's At does not decrease.
//   - The kernel reports a loss with the next record that fits. At the end, the
//     kernel's count is read too.
//   - A ring knows nothing that happened before it was opened: of a processor that comes
//     online, what happened in the last second is a gap of an unknown number.
//   - Process ids are those of the recorder's pid namespace; processes outside have 0.
//
// # Reverse names
//
// This collector is the only one that sends something, so it is off by default:
// the host's name servers learn which addresses the host talks to. The recorder
// passes it the addresses of each report and never waits for it.
//
//	report ── LookUp ──> waiting (4,096) ── 10 a second, 8 at a time ──> resolver ──> record
//	                        └─ too many: the oldest is dropped ──> gap
//
// A name is valid for 30 minutes, because Go's resolver does not return the
// time-to-live. After a failure the address is looked up again in a minute. The
// dns source records the packets of these look-ups; they name no address,
// because their questions are for PTR records.
package collect
