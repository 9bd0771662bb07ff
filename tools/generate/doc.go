/*
Generate makes the fixtures of fixtures/generated: tapes of well-formed but
adversarial sequences, by chance, the same from the same number.

	go run ./tools/generate             all of them anew
	go run ./tools/generate -script 7   the script of number 7

Nobody wrote down what is right in them, but for two things that each of them
holds: a connection of its own that opens and closes as it should, and an
address that no record names. Otherwise their expected reports say what the core
did when they were made. They are there to notice changes: tools/mutate counts
how many. The witnesses on their tapes are those of that core too, so after a
change of reports that is meant they are to be made anew.

Each tape has few addresses, ports, ids, zones and namespaces, so that what is
to be kept apart meets: the same tuple again, in another zone, namespace or
direction; NAT over several namespaces; tables and dumps that are older than the
events; gaps, failures and records that cannot be decoded at any place.
*/
package main
