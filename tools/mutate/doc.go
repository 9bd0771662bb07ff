/*
Mutate measures a check of a package. It makes many small changes to the package,
called mutants. The check kills a mutant if it fails with that change. Mutate counts the
killed mutants and lists the survivors.

	go run ./tools/mutate                      every mutant of ./reporter/current, by the fixtures
	go run ./tools/mutate -n 200 -seed 7       a random sample
	go run ./tools/mutate -files flows.go,link.go
	go run ./tools/mutate -build 'go test -c -o {bin} ./reporter' -check 'cd reporter && {bin} -test.failfast'
	go run ./tools/mutate -pkg ./reporter/report -skip ''

The flag -skip leaves files unchanged. By default these are carry*.go: Go tests check
them, the fixtures do not. Files that -files names are changed all the same.

One program has all mutants. The source has both the original code and each change, and
an environment variable selects one mutant:

	a < b        ((mutLss(17, a, b)) != mut(18))     17: a <= b    18: a >= b
	x.end()      if !mut(19) { x.end() }             19: not called

So a mutant needs one run of the check, but no compilation. The changed source is in a
temporary folder, and the go command reads it with -overlay: the tree does not change.

The first run of the check has no mutant switched on, and must pass. A mutant is killed if
the check takes ten times as long with it. A second run records the mutants whose code
runs. Other mutants survive without a run of their own.

The kinds of mutants:

	comparison   == and != swapped, < and <= swapped, the comparison negated
	logic        && and || swapped, one operand dropped, ! dropped
	condition    of if, for and case: negated
	arithmetic   + - * / % & | ^ << >> and their assignments, swapped
	constant     whole numbers: one more; true and false swapped
	statement    calls, assignments, ++, break and continue: removed
	return       a result replaced by its zero value, or true

If no test can kill a mutant, because the program behaves in the same way, add it to
survivors.txt with the reason.

Read main.go, load.go and schema.go first, then expr.go and stmt.go (the mutants), run.go
(the runs) and report.go. switch.go.txt is the file that a mutated package gets in addition.
*/
package main
