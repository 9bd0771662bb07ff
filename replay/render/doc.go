/*
Package render writes a report for people: as a table, and as a picture in the
languages of Graphviz and Mermaid.

	report ─> Table, Rows ─> text
	report ─> draw ─> graph ─┬─> Dot
	                         └─> Mermaid

The files in reading order: text.go writes one connection and its parts, table.go
aligns them, attempts.go and host.go add the attempts and the events of the host.
record.go writes the records of a tape. graph.go has the picture as data: nodes, frames,
edges and a legend, and how each kind of line is drawn. drawing.go makes it of one report
or several, bundle.go makes one node of many that look alike. dot.go and mermaid.go write
the graph without further decisions.

What surprises:

  - Several reports are drawn into one graph: what only the first has is orange,
    what only the second has is blue. "topotape diff --format dot" does that.
  - The same report gives the same bytes: nodes and edges are in the order in which
    the report's connections reach them.
  - Names and process names are untrusted input. What is written goes through package
    quote; dot and mermaid then escape what their parsers interpret. Functions that
    return a text, like Line, return names as they are.
  - Mermaid refuses large graphs. Then only the first lines are written, and the
    legend says how many are missing.
*/
package render
