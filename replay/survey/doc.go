/*
Package survey describes tapes without making reports of them: what is on a tape,
from when to when, what was lost, and how complete each source is. "topotape info"
prints it.

	tape ─┬─> index ────> counts ──┐
	      └─> records ─> payloads ─┴─> Survey ─┐
	tape ─> replay ─> report ─> Statistics ────┴─> JSON or text

The files in reading order:

  - survey.go has the result, as JSON shows it, and Read.
  - surveyor.go makes a survey from records. It reads tapes completely.
  - index.go uses the index of a closed tape instead. It reads the chunks that have
    records to list, and few others, and of the other chunks only the counts.
  - source.go is the state of one source, coverage.go follows the sources of a
    recording over time.
  - statistics.go has AddTop: it replays tapes and counts the connections of the
    whole run. records.go collects for it what no report has.
  - text.go and text_statistics.go print both as text; bar.go draws coverage.

What surprises:

  - Events of the host follow from all counters records, one for each interval of the
    recorder. So the index saves less time where each chunk has one.
  - Read with and without the index gives the same Survey, except for Reading.
  - The coverage here is that of the records about sources. A report's coverage knows
    more: whether messages could be decoded, and in which windows conntrack tracks anything.
    Here, the connections that the kernel opened are compared with all messages.
  - If an index does not fit its file, the file is read completely, and Damage
    describes what is wrong with it.
  - Memory is bounded for any tape: lists have a maximum, and what is beyond it is
    counted.
*/
package survey
