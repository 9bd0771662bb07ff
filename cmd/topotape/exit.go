package main

// Exit codes of every verb.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitLoss       = 3 // this command lost data
	exitDifference = 4
)

// exitError ends the program with a code other than 1. Err is what standard
// error gets to read; nil when it has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }
