// Package live is the recorder: it joins the collectors to a tape and to the
// reporter core. [Record] is all of it.
//
//	conntrack ─┐
//	proc ──────┼─> one queue ─> sequencer ─┬─> capture.Writer ─> file
//	dns, rdns ─┘                           └─> reporter.Step ─> witness at each tick
//	      └───────── addresses of the report, if asked for ──────────────┘
//
// One goroutine, the sequencer, gives every record its number and its place.
// What it writes is what the core sees, in that order: that is why a replay
// gives the same reports.
//
// # Order
//
// Records of one source keep the order in which its collector sent them.
// Between sources the order is that of arrival, with two exceptions: a tick,
// and the end of a /proc walk, wait until the conntrack socket was once seen
// empty, for [barrierWait] at most. What the kernel had queued before stands
// before them, so a row of /proc never precedes its flow. Records that arrive
// meanwhile are not held back.
//
//	tick due ── Drain(n) ──> collector reads until the socket is empty
//	   │  records go on being written
//	   └──────────────────── batch with Drained n ── tick, report, witness
//
// Time never goes back along a tape: a record's At is its collector's stamp or
// the At before it, whichever is later.
//
// # What stops a recording
//
// The context, the duration, the size, the disk reserve, a closed pipe, or the
// loss of the last source. Each leads to the same end: the collectors hand over
// what they have, a last tick and its witness, the end record with its totals,
// and the file gets its name. Only a failing disk cuts the tape; it then keeps
// its name with .partial and reads like any cut tape.
//
// A panic of the core costs the witnesses, not the recording: what was written
// is flushed, a fault record follows, and the rest is recorded without the core.
//
// # Memory
//
// Every collector has a fixed number of batches, and waits for one to come
// back before it reads on; the queue holds no more than those. The writer keeps
// one chunk and a page of the index. What grows with the host is the core.
//
// The package needs no privilege: it reads clocks, writes one file, and asks
// the file system how much room is left.
package live
