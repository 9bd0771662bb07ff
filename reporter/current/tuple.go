package current

import (
	"net/netip"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// tcpTuple is the tuple of a socket.
func tcpTuple(src, dst netip.AddrPort) ctmsg.Tuple { return ctmsg.TupleOf(src, dst, dnsmsg.TCP) }

func loopback(t *ctmsg.Tuple) bool { return t.SrcIP.IsLoopback() || t.DstIP.IsLoopback() }
