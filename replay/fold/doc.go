/*
Package fold makes one report of many, and of one report the part that a selector
matches.

	reports ─> Fold ─> one report with every connection and attempt that any of them shows
	report ─> Filter ─> the report with only the selected connections

fold.go has Fold, merge.go its maps and lists. selector.go has the grammar of
selectors, such as "nginx :443" or "10.0.0.1->*.internal". edge.go has the value that
a selector is matched with: a connection, a message or a row under all its addresses.
filter.go applies selectors to a report. scope_view.go does both for the view of Weave
Scope, which the rules of 2016 make by themselves and other rules derive from the
connections.

What surprises:

  - A connection is the same in two reports if protocol, ends and first-seen time are
    equal and no namespace contradicts. Which end is the client may change between
    reports.
  - Two connections of one report stay two, even if nothing distinguishes them.
  - A try that is unanswered in several reports counts once.
  - Memory is bounded: connections beyond the maximum are counted (LeftOut), not kept.
  - A selector matches an end under each of its addresses, before and after NAT.
  - Filter keeps the coverage of the whole report.
*/
package fold
