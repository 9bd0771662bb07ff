// Package capture defines the records of a recording: what each kind of record
// means, and how its payload is encoded. Package tape puts records into a file.
//
// A [Record] has a number, a time, a kind, the number of its source, and a
// payload. The payload of the raw kinds (messages of conntrack and sock_diag, records of
// the perf ring) is the bytes as the kernel sent them, except that the perf ring's
// addresses of sockets are replaced by numbers. The payload of every other kind is one of the types in
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
// A tape may be hostile: a few kilobytes of it can say the same thing a million times. So
// everything that a reader keeps has a limit, whatever the tape says, and what repeats is
// dropped or kept compressed. The limits are far above what a host with 50,000 processes and
// a million connections needs. The number of connections has no limit of its own, except in
// one folded report: a report shows all of them.
//
//	what                                          at most      constant
//	a payload, of a frame and of a record         8 MiB        capture/tape.maxPayload
//	  what a writer puts into a record            4 MiB        capture/tape.maxRecord
//	  times its stored size                       256          capture/tape.maxRatio
//	  bytes of more than that, of one input       40 MiB       capture/tape.maxExpanding
//	  its lists, in memory                        16 MiB       capture/wire.maxLists
//	  a short text                                4 KiB        capture/wire.maxString
//	  a note, a message                           64 KiB       capture/wire.maxText
//	  elements of a host's lists                  262,144      capture.maxHost
//	the sources of a recording                    1,024        reporter/source.Max
//	a walk of /proc: lists of processes           18 MiB       reporter/source.MaxOwners
//	  rows of connections                         2,097,152    reporter/current.maxRows
//	  tables and listeners                        32 MiB       reporter/current.maxTables
//	  processes of one socket                     1,024        reporter/current.maxSocketOwners
//	  closed connections that only rows showed    1,048,576    reporter/current.maxClosed
//	  scope2016: rows                             2,097,152    reporter/scope2016.maxRows
//	  scope2016: rows, if most of them repeat     65,536       reporter/scope2016.repeatedRows
//	  scope2016: texts of tables                  256 MiB      reporter/scope2016.maxText
//	  scope2016: the same, compressed             40 MiB       reporter/scope2016.maxPacked
//	attempts of a report                          10,000       reporter/current.maxAttempts
//	  processes of each end of an attempt         64           reporter/report.maxAttemptProcesses
//	flows whose entry is removed                  1,048,576    reporter/current.maxRemoved
//	  scope2016: flows that ended in a window     1,048,576    reporter/scope2016.maxEnded
//	names: addresses                              65,536       reporter/current.maxNames
//	  names of an address                         64           reporter/current.maxNamesPerAddr
//	  bytes of names, of each kind                32 MiB       reporter/current.maxNameBytes
//	  scope2016: bytes of names, of each kind     32 MiB       reporter/scope2016.maxNameBytes
//	counters of the host: files                   1,024        reporter/source.maxCounterFiles
//	  counters                                    131,072      reporter/source.maxCounters
//	sockets that events show                      2,097,152    reporter/events.maxSockets
//	  listening ones                              65,536       reporter/events.maxListeners
//	  processes, threads in other namespaces      262,144      reporter/events.maxKnown
//	  processes that have ended                   16,384       reporter/events.maxExited
//	  processes of one socket                     64           reporter/events.maxProcesses
//	  listeners that may have accepted one        256          reporter/events.maxAccepting
//	  MPTCP sockets                               65,536       reporter/events.maxMPTCP
//	  a layout of samples                         64 KiB       reporter/events.maxFormatText
//	  namespaces of an address                    64           reporter/current.maxHomes
//	DNS: datagrams that wait for fragments        1 MiB        reporter/dnsmsg.maxDatagramBytes
//	  TCP streams                                 4 MiB        reporter/dnsmsg.maxStreamsBytes
//	a carry: its bytes                            256 MiB      reporter/carry.maxSize
//	  its parts                                   65,536       reporter/carry.maxParts
//	  parts of carries that are not stepped yet   131,072      capture/packed.maxRecords
//	  the same, compressed                        128 MiB      capture/packed.maxKept
//	evidence before a cut: sockets by events      1,048,576    reporter.maxEventSockets
//	  processes by events                         262,144      reporter.maxEventProcesses
//	  a walk                                      256 MiB      reporter.maxEvidencePlain
//	  the same, compressed                        40 MiB       reporter.maxEvidence
//	  a message                                   1 KiB        reporter.maxMessage
//	  records with names                          32 MiB       reporter.maxAnswerBytes
//	  flows that the kernel no longer has         65,536       reporter.maxDestroyed
//	  steps of the clock                          65,536       reporter.maxClocks
//	  hosts                                       16           reporter.maxHosts
//	the tapes of one input                        65,536       capture/tape.maxTapes
//	  that are recovered                          4,096        replay/edit.maxTapes
//	a set of tapes: texts of their heads          16 MiB       replay.maxHeads
//	  read ahead of a report                      32 MiB       replay.maxAhead
//	  panics of production                        100          replay.maxFaults
//	  connections, attempts of one folded report  1,000,000    replay/fold.defaultMax
//	a survey: elements of a list                  100          replay/survey.maxListed
//	  counts by kind and source                   10,000       replay/survey.maxCounts
//	  times of equal coverage, of all sources     8 MiB        replay/survey.maxSpans
//	  walks                                       1,048,576    replay/survey.maxWalks
//	  addresses with traffic                      262,144      replay/survey.maxTraffic
//	pcapng: comments of the next packet           1 MiB        replay/pcapng.maxNotes
//	  interfaces of a section                     65,536       replay/pcapng.maxPorts
//
// A record with a text or a list beyond a limit is undecodable: it is as if it were
// malformed, and is counted. So is a record that finds no room in a walk; its source is
// degraded until the next walk that is complete. A carry beyond a limit is not read. The
// other limits drop what is oldest, or what comes last, and count it where a report or a
// summary lists the others.
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
