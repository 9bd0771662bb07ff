/*
Soak runs the reading verbs on hostile tapes, which anyone could send, and checks
that they harm nobody.

	go run ./tools/soak -n 1000            1,000 tapes, four verbs each
	go run ./tools/soak -seed 812 -one     tape 812 again, with every verb
	go run ./tools/soak -seed 812 -make X  writes tape 812 to file X

A tape begins as one of the repository's. It is taken apart into frames, records and
values, changed in one to three ways, and written again with right checksums. The same
seed and the same repository make the same bytes. tools/README.md lists the changes.

A run of a verb fails if

  - it panics, exits with a code that no tape can cause, or fails without a message,
  - it takes more than 10 s, and again more than 10 s of the processor or a minute,
  - its memory exceeds 256 MiB and what the program needs for a sound tape,
  - it writes a control, bidirectional or invisible character raw, as text or to
    standard error,
  - its JSON is none, or a tape differs from itself.

A tape that makes a verb fail is kept, with a text that says how to repeat it.

The program makes each tape in a process of its own, so it stays small: the peak that
the kernel reports for a verb begins with that of the process that started it.

Tour: tape.go is the tree, read.go and write.go are its bytes (no code of package
tape), generate.go makes one tape, frames.go, joined.go, records.go, values.go, lists.go,
kernel.go, sockets.go and scenes.go change it; verbs.go lists the verbs, run.go runs one, check.go
reads its output, main.go runs all.
*/
package main
