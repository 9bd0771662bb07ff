package reportertest

import (
	"net/netip"
	"strings"

	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// Plain and DNAT are the tuples of a connection without and with translation.
const (
	Plain = "10.0.0.1:40000>10.0.0.2:80"
	DNAT  = "10.0.0.1:40000>10.0.0.80:80 | 172.17.0.2:8080>10.0.0.1:40000"
)

// Ends parses "ADDR:PORT>ADDR:PORT".
func Ends(s string) endPair {
	a, b, ok := strings.Cut(s, ">")
	if !ok {
		panic(s)
	}
	return endPair{netip.MustParseAddrPort(a), netip.MustParseAddrPort(b)}
}

// TCP parses the ends of a TCP tuple.
func TCP(s string) ctmsg.Tuple { t := Ends(s); return ctmsg.TupleOf(t.Src, t.Dst, dnsmsg.TCP) }

// An endPair is a source and a destination.
type endPair struct{ Src, Dst netip.AddrPort }
