//go:build !linux

package live

import (
	"errors"
	"os"
	"time"

	"github.com/topotape/topotape/capture/collect"
)

func collectors(*Options, collect.Clock) ([]source, error) {
	return nil, errors.New("recording needs Linux; tapes can be replayed everywhere")
}

var started = time.Now()

func wallClock() int64              { return time.Now().UnixNano() }
func bootClock() int64              { return int64(time.Since(started)) }
func diskFree(*os.File) int64       { return -1 }
func datasync(f *os.File) error     { return f.Sync() }
func usage() (time.Duration, int64) { return 0, 0 }

// IsTerminal reports whether the file is a terminal, or another character device.
func IsTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
