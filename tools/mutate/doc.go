/*
Mutate measures what a check of a package can tell: it changes the package in
many small ways, each called a mutant, and counts how many of them the check
kills, that is, how many it fails with.

	go run ./tools/mutate                      every mutant of ./reporter, by the fixtures
	go run ./tools/mutate -n 200 -seed 7       a random sample
	go run ./tools/mutate -files flows.go,ends.go
	go run ./tools/mutate -pkg ./reporter -build 'go test -c -o {bin} ./reporter' -check '{bin} -test.failfast'

All mutants are compiled at once, into one program. Each change stands in the
source beside what it replaces, behind a switch that an environment variable
sets:

	a < b        ((mutLss(17, a, b)) != mut(18))     17: a <= b    18: a >= b
	x.end()      if !mut(19) { x.end() }             19: not called

So a mutant costs one run of the check and no run of the compiler. The changed
source lies in a temporary folder, and the go command is told to read it instead
(-overlay): the tree is not touched.

The check is first run with no mutant switched on. It must pass; a mutant for
which it takes ten times as long is killed. That run also notes which mutants it
meets: one that it never meets survives without a run of its own.

What mutants there are:

	comparison   == and != swapped, < and <= swapped, the comparison negated
	logic        && and || swapped, one operand dropped, ! dropped
	condition    of if, for and case: negated
	arithmetic   + - * / % & | ^ << >> and their assignments, swapped
	constant     whole numbers: one more; true and false swapped
	statement    calls, assignments, ++, break and continue: left out
	return       a result replaced by its zero value, or true

A mutant that no test can kill, because the program is the same with it, belongs
into survivors.txt with the reason; see there.
*/
package main
