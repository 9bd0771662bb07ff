package live

import (
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/collect"
)

// A source is a collector with its number and kind on the tape.
type source struct {
	collect.Collector
	number uint32
	kind   string
}

// machine is what the recorder asks of the machine it runs on; tests have their
// own.
type machine struct {
	sources func(*Options, collect.Clock) ([]source, error)
	host    func(*Options) (capture.Host, error)
	core    func(*capture.Header) (core, error)
	wall    func() int64 // Unix ns
	boot    func() int64 // ns of CLOCK_BOOTTIME
}

func thisMachine() *machine {
	return &machine{sources: collectors, host: hostFacts, core: newCore, wall: wallClock, boot: bootClock}
}

// bothClocks reads both clocks at one time, or nearly so where the processor is
// never left to us for a millisecond.
func (m *machine) bothClocks() (boot, wall int64) {
	for range 20 {
		boot, wall = m.boot(), m.wall()
		if m.boot()-boot < 1e6 {
			break
		}
	}
	return boot, wall
}

func hostFacts(o *Options) (capture.Host, error) {
	return collect.HostFacts(o.HostID, o.LocalNetworks)
}

// Sources are the kinds of sources there are, by their number from 1.
func Sources() []string {
	return []string{capture.SourceConntrack, capture.SourceProc, capture.SourceDNS, capture.SourceRDNS}
}

// DefaultSources are the kinds that are recorded if nobody asks for others:
// those that send nothing.
func DefaultSources() []string {
	return []string{capture.SourceConntrack, capture.SourceProc, capture.SourceDNS}
}

// number is a source's number on the tape; 0 is the recorder's own.
func number(kind string) uint32 { return uint32(slices.Index(Sources(), kind) + 1) }
