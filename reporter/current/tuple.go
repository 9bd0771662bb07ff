package current

import (
	"net/netip"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// tcpTuple returns the TCP tuple of two ends.
func tcpTuple(src, dst netip.AddrPort) ctmsg.Tuple { return ctmsg.TupleOf(src, dst, dnsmsg.TCP) }

// loopback reports whether an end of the tuple is a loopback address.
func loopback(t *ctmsg.Tuple) bool { return t.SrcIP.IsLoopback() || t.DstIP.IsLoopback() }
