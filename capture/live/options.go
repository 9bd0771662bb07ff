package live

import (
	"io"
	"os"
	"time"

	"github.com/topotape/topotape/capture"
)

// Options of a recording. The zero value records the default sources to a file
// in the current directory, without witnesses.
type Options struct {
	// Output is the tape's name; "" is HOST-20260102T030405Z.tape, "-" is standard
	// output. Package outfile describes what happens if it exists.
	Output string
	stdout *os.File // nil is os.Stdout; tests replace it
	Force  bool     // what exists may be replaced

	Duration time.Duration // 0 is 10 min; negative is no limit
	MaxSize  int64         // bytes of tape; 0 is 1 GiB, negative is no limit
	MinFree  int64         // bytes that stay free on the disk; 0 is 512 MiB, negative is no limit

	Interval        time.Duration // between ticks; 0 is 3 s
	ProcInterval    time.Duration // between walks of /proc; 0 is 3 s
	Sources         []string      // kinds; nil is DefaultSources
	ConntrackBuffer int           // bytes of socket buffer to request; 0 is 64 MiB

	NewCore     func(*capture.Header) (Core, error) // makes the core; nil writes no witnesses
	CoreVersion uint32                              // of that core
	Rules       string                              // rule set of its reports

	HostID        string   // "" is the machine's own
	LocalNetworks []string // prefixes besides those of the interfaces
	Note          string
	Recorder      string   // the person who records
	Command       []string // the command line
	Tool          string   // version of the tool

	Log    io.Writer // gets one line for each problem; nil discards them
	Status io.Writer // a terminal that shows the progress, every second; nil shows none
}

func (o *Options) setDefaults() {
	defaults(&o.Duration, defaultDuration)
	defaults(&o.MaxSize, defaultSize)
	defaults(&o.MinFree, 512<<20)
	defaults(&o.Interval, 3*time.Second)
	defaults(&o.ProcInterval, 3*time.Second)
	if o.Sources == nil {
		o.Sources = DefaultSources()
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.stdout == nil {
		o.stdout = os.Stdout
	}
}

func defaults[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}
