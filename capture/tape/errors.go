package tape

import (
	"errors"
	"fmt"
)

// ErrNotTape is the error of an input that does not begin like a tape.
var ErrNotTape = errors.New("not a tape")

// A VersionError says that a newer version of the format is needed. It is
// never used for damage.
type VersionError struct {
	Offset int64
	Major  int       // the major version that wrote it, 0 if it is ours
	minor  uint32    // the minor version in the tape's header, if it is newer than ours
	frame  frameKind // the unknown frame kind, or the kind of the frame with an unknown coding
	coding uint8     // the unknown coding, 0 if the kind is unknown
}

func (e *VersionError) Error() string {
	if e.Major != 0 {
		return fmt.Sprintf("offset %d: written in format %d; this version reads format %d: use a newer topotape", e.Offset, e.Major, Format)
	}
	what, needs := fmt.Sprintf("frame kind %d", e.frame), fmt.Sprintf("a newer version of format %d", Format)
	if e.coding != 0 {
		what = fmt.Sprintf("coding %d", e.coding)
	}
	if e.minor != 0 {
		needs = fmt.Sprintf("format %d.%d; this version reads %d.%d", Format, e.minor, Format, Minor)
	}
	return fmt.Sprintf("offset %d: %s needs %s: use a newer topotape", e.Offset, what, needs)
}

// A DamageError says where a tape is damaged and how many bytes were skipped
// because of it. Reading goes on after the damage: every record that a Reader
// returns is one that was written.
type DamageError struct {
	Offset  int64  // where the damage begins, from the file's first byte
	Ignored int64  // bytes that were skipped
	Frame   uint64 // number of the frame that was expected there
	record  uint64 // number of the last good record before it
	Torn    bool   // the input ends inside a frame
	Err     error  // the cause; io.ErrUnexpectedEOF if torn
}

func (e *DamageError) Error() string {
	what := "damaged"
	if e.Torn {
		what = "torn"
	}
	return fmt.Sprintf("offset %d: %s after record %d, in frame %d: %v (%d bytes ignored)", e.Offset, what, e.record, e.Frame, e.Err, e.Ignored)
}

func (e *DamageError) Unwrap() error { return e.Err }
