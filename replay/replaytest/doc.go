// Package replaytest makes tapes and reports for the tests of replay and of the
// packages below it. It does not import them, so that their own tests can use it.
//
// Tapes are bytes. tapes.go reads, writes and changes them; synthetic.go and random.go
// make new ones; reports.go makes reports without a tape.
package replaytest
