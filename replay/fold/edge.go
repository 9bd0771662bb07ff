package fold

import (
	"net/netip"

	"github.com/topotape/topotape/reporter/report"
)

// An Edge is what a selector is matched with: the two ends of a connection, of an
// attempt, of a message or of a row of a socket table.
type Edge struct {
	From, To EdgeEnd
}

// An EdgeEnd is one end under all its addresses.
type EdgeEnd struct {
	Addrs     []netip.AddrPort // its own first, then those that NAT translates it to
	Processes []report.Process
	Names     []string
}

// EdgeOf returns the edge of a connection. names are those of its report; nil
// leaves out the names.
func EdgeOf(c *report.Connection, names map[netip.Addr]*report.Names) Edge {
	ofClient, ofServer := c.Aliases()
	e := Edge{
		From: EdgeEnd{Addrs: append([]netip.AddrPort{c.From.Addr}, ofClient...), Processes: c.From.Processes},
		To:   EdgeEnd{Addrs: append([]netip.AddrPort{c.To.Addr}, ofServer...), Processes: c.To.Processes},
	}
	e.From.addNames(names)
	e.To.addNames(names)
	return e
}

// EdgeOfAttempt returns the edge of an attempt, as EdgeOf does.
func EdgeOfAttempt(a *report.Attempt, names map[netip.Addr]*report.Names) Edge {
	return EdgeOf(&report.Connection{From: a.From, To: a.To, NAT: a.NAT}, names)
}

// NamesByAddr returns the names of the report by address.
func NamesByAddr(r *report.Report) map[netip.Addr]*report.Names {
	m := make(map[netip.Addr]*report.Names, len(r.Names))
	for i := range r.Names {
		m[r.Names[i].Addr] = &r.Names[i]
	}
	return m
}

// addNames adds the names of all addresses. A host's name belongs to the end's own
// address only: a translated address is often one of the translating host.
func (e *EdgeEnd) addNames(names map[netip.Addr]*report.Names) {
	for i, a := range e.Addrs {
		if n := names[a.Addr()]; n != nil {
			e.Names = append(append(e.Names, n.Forward...), n.Reverse...)
			if n.Host != "" && i == 0 {
				e.Names = append(e.Names, n.Host)
			}
		}
	}
}
