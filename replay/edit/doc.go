// Package edit makes tapes from other tapes:
//
//   - Cut writes the records of a window as a tape of its own.
//   - Merge merges several tapes of one host into one.
//   - Recover saves what is left of a damaged file.
//
// A tape that they write is called derived. Its header names its parents
// (header.go). Records keep their numbers and times, except where Merge puts different
// recordings onto one line. A core of this version sees all records of a derived
// tape, and the witnesses are made again from its reports (writer.go).
// Inputs are read several times, so that memory does not grow with the tapes.
//
// # Cut
//
//	tapes ─> cutter ─┬─ before the window ─> cores, evidence
//	                 └─ in the window ─────> cores, new tape
//
// For any window and any list of tapes of one recording,
//
//	Run(tapes, window) = Run(Cut(tapes, window))
//
// byte for byte. To make that true, the new tape begins with a carry: the state of
// the core of each rule set. Wherever the state changes later by
// something that is not on the new tape, another carry follows: where a new core
// starts, or where the core reads a carry of the input. Before the first carry
// are the most important older records (reporter.Evidence), for a core that cannot
// read a carry.
//
// Read cut.go, then cutter.go from the top.
//
// # Merge
//
//	inputs ─ scanTapes ─> tapes ─ groupTapes ─> recordings ─ timeLine ─> new tape
//
// The time line reads a recording through a recordingReader, which returns each record
// once, by number, and the ranges of numbers that are on no tape. The records of a
// recording that is alone stay as they are. Several recordings get places, numbers of
// records and numbers of sources on the line.
//
// Read merge.go, tapes.go, recordings.go, recording_reader.go with tape_reader.go,
// timeline.go and track.go.
//
// # Recover
//
//	file ─ scanLayout ─> broken tapes ─ readFacts ─> facts ─ rescue ─> new tapes
//
// scanLayout finds the frames, readFacts reads their records once to know the
// header and the sources, and a rescue copies the records of one tape and adds gap
// records. Where pages of the tape's index are left, lostChunks finds how many
// records of each source a lost chunk had.
//
// Read recover.go, layout.go, tape_facts.go, rescue.go, losses.go, lost_chunks.go.
//
// # What surprises
//
//   - Merge prefers a record of the recording to one that a verb added under the same
//     number: a gap by Recover gives way to the record on another tape.
//   - Two original records with the same number and different content are an error.
//   - Merge puts a carry on the new tape only where records before it are missing, or
//     at the start. Between other recordings it is left out.
//   - Missing numbers are normal on a derived tape. For Recover they are a loss on any
//     other tape.
//   - Recover loses a frame with a wrong checksum as a whole, even if some of its
//     records decode. It puts frames in the order of their numbers, and uses a frame
//     once that is there twice.
//   - The gap records that Recover and Cut add take the first of the missing numbers.
//     If there are more sources than missing numbers, the last sources get no gap.
//   - After a loss, the witnesses of the parent prove nothing. They are replaced, or
//     left out if they are of other rules.
package edit
