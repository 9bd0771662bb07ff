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
// What surprises:
//
//   - Tapes of one recording, segment after segment, go through one reporter.
//     Any other tape begins with a fresh one.
//   - Steps of the host's wall clock move what an RFC 3339 time means, as they
//     move the times of reports. Times from the start or the end ignore them.
//   - Damage ends a replay: what stands behind it lacks what stood before.
//     A cut tape is replayed to its end, and said to be cut.
//   - A panic of the core ends the reports, not the reading: the tape may say
//     that production met the same, at the same record.
package replay
