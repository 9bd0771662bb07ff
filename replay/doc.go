// Package replay drives tapes through a reporter.
//
//	tapes ─> Tapes.Next ─> reporter.Step ─┬─> (tick) Report ─> yield
//	                                      └─> (witness) Digests ─> compared
//
// Run does it. It makes a report only where one is wanted: which tick is the
// last one before a time, or has a witness, is not known when the tick comes,
// and a report must be made before the next step. So Run reads ahead, to the
// next tick, before it decides. What it read is stepped afterwards, in order;
// what is read ahead is bounded, beyond that the report is made on suspicion.
//
// A window of a file is read through its index (seek.go). That does not change
// which records are read: an index is believed only where the chunk that it leads
// to is the one that it describes. A pipe is read from its start.
//
// What it writes of a report besides its JSON: a table (WriteTable), pictures
// (WriteDot, WriteMermaid: both draw one graph, which also lays two reports over
// each other), and what Weave Scope's app takes (AppendScopeJSON, AppendScopeMsgpack).
//
// Look surveys tapes without a reporter: what is on them, from when to when, what
// was lost. Of a closed tape its index tells that. Measure adds up the connections of
// a whole run.
//
// Diff compares two such runs, or files of their reports, and Comparison any two
// runs of reports: tick by tick, and what differs is grouped by its cause as it
// comes, so that memory does not grow with the tapes. Which connection is which is
// told by pairConnections.
//
// Recover and Merge make tapes of tapes: Recover of what is left of a damaged file,
// Merge of several tapes of one host. Both write through a deriver, which steps a
// core over what it writes and makes the witnesses anew, and both read back what
// they wrote. They read their inputs several times and keep no more of them in
// memory than a chunk of each open tape, and where the pieces stand.
//
// Cut writes the records of a window as a tape of its own. In front of them stand the
// records of before that matter most (reporter.Evidence), with their own numbers, and then,
// as carry records, all that the cores of both rule sets knew (Reporter.Carry). So
//
//	Run(tape, window) = Run(Cut(tape, window))
//
// byte for byte, whatever the window, and for any row of tapes: where a core begins
// anew within the window, or takes a carry, the cut has a carry of what it knows then.
//
// What surprises:
//
//   - Tapes of one recording, segment after segment, go through one reporter.
//     Any other tape begins with a fresh one.
//   - The carry at a segment's head is taken only if records are missing before it,
//     which the number of the record behind it tells.
//   - Steps of the host's wall clock move what an RFC 3339 time means, as they
//     move the times of reports. Times from the start or the end ignore them.
//   - Damage ends a replay: what stands behind it lacks what stood before.
//     A cut tape is replayed to its end, and said to be cut.
//   - What stands outside of a window is not looked at where the index tells it
//     apart, so damage there goes unsaid.
//   - Recover goes by the frames, wherever they stand: it puts those that were
//     swapped back into order and takes one that is there twice once. A frame that
//     fails its checksum is lost as a whole, though its first records may decode.
//     Its gap records take the first numbers that are missing, so that what was
//     saved keeps its own; behind a loss the parent's witnesses prove nothing.
//   - Merge keeps numbers within one recording; a gap that Recover wrote gives way
//     to the record that another tape has. Different recordings are numbered anew,
//     and a source that closes with one and opens with the next is one source.
//   - A panic of the core ends the reports, not the reading: the tape may say
//     that production met the same, at the same record.
package replay
