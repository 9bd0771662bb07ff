package live

import (
	"io"
	"os"
	"time"
)

// Options of a recording. The zero value records all that takes no asking into a
// file in the current directory.
type Options struct {
	// Output is the tape's name; "" is HOST-20260102T030405Z.tape. An existing
	// device, pipe or socket is written in place. "-" is Stdout.
	Output string
	Stdout *os.File
	Force  bool // an existing file may be replaced

	Duration time.Duration // 0 is 10 min; negative is until the context is done
	MaxSize  int64         // bytes of tape; 0 is 1 GiB, negative no limit
	MinFree  int64         // bytes that stay free on the disk; 0 is 512 MiB, negative none

	Interval        time.Duration // between ticks; 0 is 3 s
	ProcInterval    time.Duration // between walks of /proc; 0 is 3 s
	Sources         []string      // kinds; nil is DefaultSources
	ConntrackBuffer int           // bytes of socket buffer to ask for; 0 is 64 MiB

	HostID        string   // "" is the machine's own
	LocalNetworks []string // prefixes beside those of the interfaces
	Note          string
	Recorder      string   // who records
	Command       []string // and with which command
	Tool          string   // version of the tool

	Log    io.Writer // gets a line for everything that is not as it should be; nil is nowhere
	Status io.Writer // a terminal that gets a line a second; nil is none
}

func (o *Options) setDefaults() {
	defaults(&o.Duration, 10*time.Minute)
	defaults(&o.MaxSize, 1<<30)
	defaults(&o.MinFree, 512<<20)
	defaults(&o.Interval, 3*time.Second)
	defaults(&o.ProcInterval, 3*time.Second)
	if o.Sources == nil {
		o.Sources = DefaultSources()
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
}

func defaults[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}
