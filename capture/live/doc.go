// Package live is the recorder: it connects the collectors to a tape and to the
// core. [Record] makes a recording; [DryRun] shows what one would contain.
//
//	conntrack ─┐
//	sockets ───┤
//	proc ──────┼─> one queue ─> sequencer ─┬─> capture.Writer ─> file
//	dns, rdns ─┘                           └─> Core.Step ─> at each tick Core.Report ─> witness
//	      └──── addresses of the report, if rdns is recorded ──────┘
//
// One goroutine, the sequencer, numbers every record and decides its place. It
// writes the record to the tape and then passes it to the core, so the core sees
// the records in the tape's order. That is why a replay makes the same reports.
//
// Reading order: options.go, record.go (from start to summary), recorder.go and
// loop.go (the event loop), sequencer.go (the order of records), waiting.go (what waits
// for the collectors), tally.go (the number of records), ticks.go, sizeplan.go (how much
// each source may record), core.go, output.go (where the tape is written).
//
// # Order
//
// Records of one source keep the order in which its collector sent them.
// Records of different sources are in order of arrival, with one exception: a
// tick, and the end of a /proc walk, wait until the conntrack socket was once
// seen empty, and then until the kernel's rings were read up to that moment, each at
// most [barrierWait]. The events that the kernel had queued before are then on the
// tape before them, so a row of /proc never precedes its flow, and a report has the
// processes of all its flows. Other records are written while a tick waits.
//
//	counters read ── Drain(n) ──> conntrack reads until the socket is empty
//	   │                batch with Drained n ── Drain(m) ──> sockets reads what is older
//	   │  other records are written
//	   └──────────────────────────────────── batch with Drained m ── counters, tick, report, witness
//
// A goroutine of its own (ticks.go) reads the host's counters once an interval,
// and a tick is due when it has: 0.1 ms on 2 processors, more on many. All
// counters are on the tape at its begin, later those that changed.
//
// Time never decreases along a tape: a record's At is its collector's stamp or
// the At of the record before it, whichever is later.
//
// The loop wakes four times a second. If it wakes more than two seconds late, the
// recorder stood still, and a stall record says for how long, before anything that
// came in that time. A write that blocks counts too.
//
// # What stops a recording
//
// The context, the duration, the size, the disk reserve, a closed pipe, or the
// loss of the last source. All end the same way: the collectors hand over what
// they have, a last tick and its witness follow, then the end record with the
// totals, and the file is renamed to its final name.
//
// A full, failing or read-only disk cuts the tape, and so does another program that
// removes, replaces or truncates the file: that is checked before every write and
// every second. The file then keeps its name with .partial, ends with a whole frame,
// and can be read like any cut tape. The summary counts the records that are in it,
// not those that were received.
//
// A file that another program renames is written to its end, but then does not get its
// name.
//
// Each source has a share of the size, so that a flood of one of them does not end
// the recording of the others (sizeplan.go): conntrack two fifths, DNS and sockets a
// fifth each, /proc a seventh, reverse names the rest; closed sockets, if they are
// recorded, have a quarter of what conntrack has. The shares limit nobody while the tape
// is smaller than planned for the time; beyond that, a source that uses up its share
// loses what is more, as counted gaps.
//
// A panic of the core costs the witnesses, not the recording: the recorder
// flushes what was written, adds a fault record, and goes on without the core.
//
// # Memory
//
// Every collector has a fixed number of batches and waits until one is released
// before it reads on; the queue contains no more than those. The writer keeps
// one chunk and one page of the index. Only the core grows with the host.
//
// The package needs no privilege: it reads clocks, writes one file (see package
// outfile), and asks the file system for its free space.
package live
