// Package replay drives tapes through a reporter and yields its reports.
//
//	Tapes.Next ─> Core.Step ─┬─> (a tick that is wanted)     Core.Report ─> yield
//	                         └─> (a tick that has a witness) Core.Report ─> compared
//
// Run does that, in one pass over the tapes. A report costs much more than a record,
// so Run makes one only where it is wanted. Whether a tick is the last one of a time,
// or has a witness, is not known at the tick, but its report must be made before the
// next record is stepped. So Run looks ahead, to the next tick, before it decides. The
// records that were read ahead are stepped afterwards, in order. They are limited to
// maxAhead bytes; at that limit the report is made in case it is wanted.
//
// # Files
//
//   - run.go is Run and its loop over the records.
//   - ticks.go decides what to do at a tick: planTick is the rule.
//   - core.go is a reporter whose panics are values.
//   - feed.go reads ahead.
//   - heads.go bounds what is kept of the heads of many tapes.
//   - tapes.go reads inputs one after the other; input.go opens them. An Item is a
//     record with its tape and its place relative to the window.
//   - carry.go decides whether the carry at the head of a segment applies.
//   - time.go has the times that a user writes; extent.go finds their places on certain
//     tapes; window.go places records between two of them.
//   - seek.go uses the index of a tape to read less.
//   - verify.go has the result of a verification, verifier.go makes it.
//   - summary.go is what Run reports besides the reports.
//   - sides.go compares two runs with package diff; reports.go reads reports from files.
//
// The packages below this one use its reports and tapes: fold folds many reports into
// one, render and scope write reports in other forms, diff compares them, survey lists
// what is on a tape, and edit makes tapes from tapes. Open is for edit: it reads all
// records up to the end of a window. Records reads only those within it.
//
// # What surprises
//
//   - Tapes of one recording, segment after segment, go through one core. Every other
//     tape begins with a new one.
//   - The carry at the head of a segment applies only if records are missing before
//     it. The number of the next record shows that.
//   - A step of the host's wall clock changes which record an RFC 3339 time refers to,
//     as it changes the times of reports. Times from the start or the end ignore it.
//   - Damage ends a replay: the core would lack the records that are lost. A tape that
//     was not closed is replayed to its end, and the summary reports it.
//   - Records skips records before the window if the tape has an index, so damage there
//     is not reported. An index never changes which records are within a window.
//   - A panic of the core ends the reports, but not the reading: the tape may have a
//     fault record of the same panic in production.
//   - If a report is needed that was not made, the tapes are replayed again up to its
//     tick: the last report before a panic, and the last one before the first mismatch.
package replay
