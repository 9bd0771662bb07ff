package edit

// ErrEmptyWindow is for the tests of package edit_test.
var ErrEmptyWindow = errEmptyWindow
