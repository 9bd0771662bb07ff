/*
Generate makes the fixtures of fixtures/generated. Their tapes are random,
well-formed and adversarial. The same number gives the same tape.

	go run ./tools/generate             make all of them
	go run ./tools/generate -script 7   print the script of number 7

Each fixture has two kinds of expectations that are known to be right: about a
connection that opens and closes normally, and about an address that is in no
record. Apart from these, the expected reports are those of the core that made
them. The fixtures detect changes; tools/mutate measures how many. Their tapes
have witnesses of that core too, so make the fixtures again after an intended
change of reports.

A tape has few addresses, ports, ids, zones and namespaces, so that things that
must be kept apart collide: the same tuple again, in another zone, namespace or
direction; NAT in several namespaces; tables and dumps that are older than
events; gaps, failures and undecodable records at any place.

Tour: generator.go has the main loop, conntrack.go, proc.go and other.go make
records, main.go builds the tapes and adds the fixtures.
*/
package main
