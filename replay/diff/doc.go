/*
Package diff compares two runs of reports, A and B, and groups what differs by its
cause.

	A ─┐             for each tick
	   ├─> Comparison ─> changes ─> groups ─> Difference ─> text, Markdown, JSON, DOT
	B ─┘               │
	                   └ pairs, fields

The files in reading order, each step a function from values to values:

  - comparison.go aligns the two runs by time and finds the first tick that differs.
  - changes.go lists what differs between the two reports of a tick: connections,
    attempts, endpoints, names, coverage, and the head.
  - pairs.go finds for each connection of A the same connection of B, and tuples.go
    does that for connections that one side shows before NAT and the other after it.
  - fields.go lists the fields in which two connections, endpoints, names or sources
    differ.
  - groups.go collects changes of the same kind, so that one cause is one group.
  - difference.go has the result; text.go, markdown.go and dot.go write it.

What surprises:

  - Swapping A and B swaps the sides of the result and changes nothing else.
  - Reports are the same if and only if their canonical JSON is.
  - Memory does not grow with the number of ticks: a group has counts and a few
    examples. Beyond a maximum of groups and things, LeftOut counts.
  - Endpoints and names that change with a connection are in groups of their own, with
    Follows set: they are a consequence, not a cause.
*/
package diff
