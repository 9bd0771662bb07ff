//go:build !linux

package collect

import (
	"context"
	"errors"

	"github.com/topotape/topotape/capture"
)

// errPlatform is what everything here says where there is no Linux kernel.
var errPlatform = errors.New("recording needs Linux")

// Proc is only on Linux.
type Proc struct{}

// NewProc returns a collector that can't be opened.
func NewProc(ProcConfig) *Proc { return &Proc{} }

func (*Proc) Open() error                              { return errPlatform }
func (*Proc) Run(context.Context, chan<- *Batch) error { return errPlatform }
func (*Proc) Stats() Stats                             { return Stats{} }

// DNS is only on Linux.
type DNS struct{}

// NewDNS returns a collector that can't be opened.
func NewDNS(DNSConfig) *DNS { return &DNS{} }

func (*DNS) Open() error                              { return errPlatform }
func (*DNS) Run(context.Context, chan<- *Batch) error { return errPlatform }
func (*DNS) Stats() Stats                             { return Stats{} }

// HostFacts is only on Linux.
func HostFacts(string, []string) (capture.Host, error) { return capture.Host{}, errPlatform }
