package live

import (
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
)

// A source is a collector with its number and kind on the tape.
type source struct {
	collect.Collector
	number    uint32
	kind      string
	allowance *collect.Allowance // of the tape; nil has no bound
}

// machine is how the recorder reaches the host; tests replace it.
type machine struct {
	sources func(*Options, collect.Clock) ([]source, error)
	host    func(*Options) (capture.Host, error)
	// counters opens the host's counters.
	counters func() hostCounters
	wall     func() int64 // Unix ns
	boot     func() int64 // ns of CLOCK_BOOTTIME
}

// hostCounters are the counters of the host; see collect.HostCounters.
type hostCounters interface {
	Changed() *capture.Counters
	Close()
}

func thisMachine() *machine {
	return &machine{sources: collectors, host: hostFacts, counters: openCounters, wall: wallClock, boot: bootClock}
}

// bothClocks reads both clocks within a millisecond, or as close as 20 tries on
// a busy machine get.
func (m *machine) bothClocks() (boot, wall int64) {
	for range 20 {
		boot, wall = m.boot(), m.wall()
		if m.boot()-boot < 1e6 {
			break
		}
	}
	return boot, wall
}

func openCounters() hostCounters { return collect.OpenHostCounters() }

func hostFacts(o *Options) (capture.Host, error) {
	return collect.HostFacts(o.HostID, o.LocalNetworks)
}

// DefaultSources returns the kinds that are recorded unless others are chosen:
// those that send nothing to the network.
func DefaultSources() []string {
	return []string{capture.SourceConntrack, capture.SourceProc, capture.SourceDNS, capture.SourceSockets}
}

// number returns the number of a kind of source on the tape; 0 is the recorder.
func number(kind string) uint32 { return uint32(slices.Index(capture.UsualSources(), kind) + 1) }
