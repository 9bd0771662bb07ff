//go:build !linux

package collect

import (
	"context"
	"errors"

	"github.com/topotape/topotape/capture"
)

// errPlatform is the error of every collector on other systems than Linux.
var errPlatform = errors.New("recording needs Linux")

// Proc works only on Linux.
type Proc struct{}

// NewProc returns a collector that can't be opened.
func NewProc(ProcConfig) *Proc { return &Proc{} }

func (*Proc) Open() error                              { return errPlatform }
func (*Proc) Run(context.Context, chan<- *Batch) error { return errPlatform }
func (*Proc) Stats() Stats                             { return Stats{} }

// DNS works only on Linux.
type DNS struct{}

// NewDNS returns a collector that can't be opened.
func NewDNS(DNSConfig) *DNS { return &DNS{} }

func (*DNS) Open() error                              { return errPlatform }
func (*DNS) Run(context.Context, chan<- *Batch) error { return errPlatform }
func (*DNS) Stats() Stats                             { return Stats{} }

// Sockets works only on Linux.
type Sockets struct{}

// NewSockets returns a collector that can't be opened.
func NewSockets(SocketsConfig) *Sockets { return &Sockets{} }

func (*Sockets) Open() error                              { return errPlatform }
func (*Sockets) Run(context.Context, chan<- *Batch) error { return errPlatform }
func (*Sockets) Stats() Stats                             { return Stats{} }

// HostFacts works only on Linux.
func HostFacts(string, []string) (capture.Host, error) { return capture.Host{}, errPlatform }

// HostCounters works only on Linux.
type HostCounters struct{}

// OpenHostCounters returns counters that are never read.
func OpenHostCounters() *HostCounters { return &HostCounters{} }

func (*HostCounters) Changed() *capture.Counters { return nil }
func (*HostCounters) Close()                     {}
