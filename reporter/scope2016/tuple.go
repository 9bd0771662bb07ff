package scope2016

import (
	"net/netip"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// A tuple is one direction of a TCP connection. An address that the original could not read is
// invalid.
type tuple struct{ src, dst netip.AddrPort }

// reversed returns the other direction.
func (t tuple) reversed() tuple { return tuple{t.dst, t.src} }

// tupleOf returns the tuple of a message.
func tupleOf(t *ctmsg.Tuple) tuple { return tuple{t.Src(), t.Dst()} }
