/*
Package report defines what a report says about a host at a tick: its connections, their
endpoints and names, and the coverage of the sources. Reports are values: nothing in them refers
to the machine that made them.

Files in reading order:

	report.go       Report and its parts, and their order in a report
	attempt.go      Attempt, and how tries become one attempt
	json.go         canonical JSON: the same report gives the same bytes
	parse.go        canonical JSON back to a report; any other JSON is an error
	digest.go       digests of a report's sections, as a tape records them
	scope.go        the report in the terms of Weave Scope
	scope_view.go   how that view follows from a report of the current rules

The ends of a Connection are real: From is the client before source NAT, and To is the server
after destination NAT. The addresses that NAT shows instead of an end are its aliases.

An Attempt is no connection: nothing was ever established. A report has the tries that ended in
its window and those that are still unanswered. One that is unanswered in several reports is in
all of them; Attempt.Earlier shows how many of the tries an earlier report has, so that a sum over
reports counts each once.
*/
package report
