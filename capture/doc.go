// Package capture defines the records of a recording: what each kind of record
// means, and how its payload is encoded. Package tape puts records into a file.
//
// A [Record] has a number, a time, a kind, the number of its source, and a
// payload. The payload of the raw kinds (conntrack messages) is the bytes as the
// kernel sent them. The payload of every other kind is one of the types in
// payload.go, encoded as a MessagePack array:
//
//	b := capture.AppendPayload(nil, &capture.Gap{Lost: 7, Exact: true})
//	rec := capture.Record{Kind: capture.KindGap, Payload: b}
//	...
//	var gap capture.Gap
//	err := rec.Decode(&gap)
//
// Reading order: record.go (Record and Kind), payload.go (the payload types),
// fields.go (their encoding), header.go (what a tape says before its first
// record). The document of package tape lists all fields with their types.
//
// The package is pure: it uses no clock, no files and no goroutines.
//
// # Limits
//
// Whatever a tape says, a reader keeps a bounded part of it. A payload beyond a limit is
// undecodable; what else is beyond one is left out. Both are counted, and the verbs say so.
//
//	a payload on tape                       4 MiB, 8 MiB decoded     capture/tape
//	payloads of more than 256 times their frame    40 MiB in all     capture/tape
//	tapes in one input                     65,536, 4,096 recovered   capture/tape, replay/edit
//	lists of one payload in memory                        16 MiB     capture/wire
//	a name; a text of a person or program          4 KiB, 64 KiB     capture/wire
//	sources                                                1,024     reporter/source
//	rows of a walk; its tables          2,097,152 rows, 32 MiB       reporter/current
//	a text, or bytes, of a carried state            4 KiB, 8 MiB     reporter/carry
//	names of addresses                   65,536 addresses, 32 MiB    reporter/current
//	evidence of a walk; of answers                40 MiB, 32 MiB     reporter
//	counters of the host                   1,024 files of 1 MiB      reporter/source
//	records that are read ahead                           32 MiB     replay
//	elements of each list of info          100, 10,000 counted       replay/survey
//
// # What surprises
//
//   - Collectors record bytes; nobody decodes them before they are on the tape. A
//     malformed payload is an ordinary record, and the core decides what to do
//     with it.
//   - The numbers of kinds are never reused, and new fields go to the end of a
//     payload. So an older version reads newer records: it skips fields that it
//     does not know, and skips and counts records of unknown kinds. In older
//     records the fields that are missing are zero.
//   - Byte slices of a decoded payload point into Record.Payload.
//   - Record.At never decreases along a tape and is no wall clock: add
//     Header.Start and the steps of the clock records so far.
package capture
