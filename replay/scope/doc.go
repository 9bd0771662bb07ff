/*
Package scope writes a report as the probe of Weave Scope posted it in 2016, so
that Scope's app still draws it.

	report ─> content ─> object ─┬─> AppendJSON
	                             └─> AppendMsgpack

scope.go has the content: the topologies of a Scope report, three of them with
nodes (endpoints, processes, the host), and the fields of a node. encode.go has the
two encodings. The endpoints come from Report.Scope.

What surprises:

  - Scope encodes all structs as maps, in both formats. The keys of every map are
    sorted, so that the same report gives the same bytes.
  - The id of a report is a hash of its canonical JSON: the app caches by id.
  - MessagePack is that of 2016: strings and bytes are one type, and there is no
    length of one byte. Decoders of today read it.
*/
package scope
