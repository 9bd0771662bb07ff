package capture

import (
	"errors"
	"fmt"
)

// ErrNotTape says that the input does not begin like a tape.
var ErrNotTape = errors.New("not a tape")

// A VersionError says that a newer version of the format is needed. It is
// never used for damage.
type VersionError struct {
	Offset int64
	Major  int       // the format's major version that wrote it, 0 when that is ours
	Minor  uint32    // the minor version that the tape's header names, if that is newer than ours
	Frame  FrameKind // the frame kind that is not known, or whose coding is not
	Coding uint8     // the coding that is not known, 0 when the kind is what is not
}

func (e *VersionError) Error() string {
	if e.Major != 0 {
		return fmt.Sprintf("offset %d: written in format %d; this version reads format %d: use a newer topotape", e.Offset, e.Major, Format)
	}
	what, needs := fmt.Sprintf("frame kind %d", e.Frame), fmt.Sprintf("a newer version of format %d", Format)
	if e.Coding != 0 {
		what = fmt.Sprintf("coding %d", e.Coding)
	}
	if e.Minor != 0 {
		needs = fmt.Sprintf("format %d.%d; this version reads %d.%d", Format, e.Minor, Format, Minor)
	}
	return fmt.Sprintf("offset %d: %s needs %s: use a newer topotape", e.Offset, what, needs)
}

// A DamageError says where a tape is damaged and how many bytes were passed
// over because of it. Reading goes on behind it: every record that a Reader
// returns is one that was written.
type DamageError struct {
	Offset  int64  // where the damage begins, from the file's first byte
	Ignored int64  // bytes that were passed over
	Frame   uint64 // number of the frame that was expected there
	Record  uint64 // number of the last good record before it
	Torn    bool   // the input ends inside a frame
	Err     error  // what is wrong; io.ErrUnexpectedEOF when torn
}

func (e *DamageError) Error() string {
	what := "damaged"
	if e.Torn {
		what = "torn"
	}
	return fmt.Sprintf("offset %d: %s after record %d, in frame %d: %v (%d bytes ignored)", e.Offset, what, e.Record, e.Frame, e.Err, e.Ignored)
}

func (e *DamageError) Unwrap() error { return e.Err }
