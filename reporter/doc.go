/*
Package reporter is the deterministic core of topotape: records in, reports out.

	for each record:
		if r.Step(record) {   // it was a tick
			report := r.Report()
		}

Live recording and replay run this same code; they differ only in where the records come from.
The core has no clock, no goroutine and no random number, and no order of a map reaches its
output: the same records give the same bytes on any machine.

# The packages

A Reporter has the state machine of one rule set, and steps it. Read them in this order:

	reporter     Reporter, the choice of the rules, carry records, Evidence
	report       what a report says, its JSON and its digests
	source       the sources of records, and their coverage
	current      the machine of the current rules
	scope2016    the machine of the rules of 2016, those of Weave Scope
	events       sockets and processes as socket events show them
	ctmsg        wire format of conntrack messages
	procnet      text of the tables of /proc/net
	sockdiag     tables and closed sockets as sock_diag sends them
	dnsmsg       packets with DNS messages
	sockmsg      events of sockets and processes
	carry        coder of a machine's state

	reportertest   feeds a machine with records in tests

Files of this package in reading order:

	reporter.go     Reporter: Step and Report
	carry.go        the state in carry records
	evidence.go     records for a core that cannot read the state; evidence_walk.go those of
	                walks of /proc, evidence_counters.go those of the host's counters,
	                evidence_events.go those of socket events

# What is carried

A tape that does not begin with its recording has carry records: the state that a core had at
this place. A reporter of the same rules, core version and layout that is stepped with them makes
the same reports from then on. The state has values and not how memory is laid out: flows in the
order in which they were first seen, tables, names. Each machine codes its fields in a fixed
order, without field names, in its methods called carry. Indexes and counts are derived again. A
test compares states by reflection, so that a new field is not forgotten. The format is private
to this package; carryLayout counts its versions.

A state may be hostile. It is read into a new machine, which checks every list and count. The new
machine replaces the old one only if all of the state is valid; otherwise the state is ignored.
Then the records before it on the tape count. Evidence has selected them: any core can read them,
and they show the most important facts.

# What surprises

Report may be called after every tick, but need not be: a report does not depend on which others
were made.

Counts of the coverage run from the recording's start and never decrease.
*/
package reporter
