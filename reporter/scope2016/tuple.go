package scope2016

import (
	"net/netip"

	"github.com/topotape/topotape/reporter/ctmsg"
)

// A tuple is one direction of a TCP connection, as rules scope2016 keep it: an address
// that the original could not read is missing.
type tuple struct{ src, dst netip.AddrPort }

func (t tuple) reversed() tuple { return tuple{t.dst, t.src} }

func tupleOf(t *ctmsg.Tuple) tuple { return tuple{t.Src(), t.Dst()} }
