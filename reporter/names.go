package reporter

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// A nameEntry says that an address had a name until a time.
type nameEntry struct {
	name    string
	expires int64
}

// maxNames bounds the addresses that names are kept of; the one that was
// learned first goes first.
const maxNames = 65536

// maxNamesPerAddr bounds the names of one address; the one that expires first
// goes first.
const maxNamesPerAddr = 64

// minTTL, ns, is how long a name lives at least: an answer with a time-to-live
// of 0 is meant for the connection that follows it.
const minTTL = 1e9

// cache maps addresses to their names, oldest address first.
type cache struct {
	byAddr map[netip.Addr][]nameEntry
	order  []netip.Addr
}

// names is what DNS answers and reverse look-ups said.
type names struct{ forward, reverse cache }

func (n *names) init() {
	n.forward.byAddr = make(map[netip.Addr][]nameEntry)
	n.reverse.byAddr = make(map[netip.Addr][]nameEntry)
}

func (n *names) answer(a *dnsmsg.Answer, at int64) {
	n.forward.add(a.Addr, a.Name, at+max(int64(a.TTL)*1e9, minTTL))
}

// reverseAnswer replaces what was known of the address; a failure does not.
func (n *names) reverseAnswer(p *capture.ReverseName, at int64) {
	addr, err := netip.ParseAddr(p.Addr)
	if err != nil || len(p.Names) == 0 {
		return
	}
	addr = addr.Unmap()
	if had := n.reverse.byAddr[addr]; had != nil {
		n.reverse.byAddr[addr] = had[:0]
	}
	for _, name := range p.Names {
		name = strings.TrimSuffix(strings.ToLower(name), ".")
		n.reverse.add(addr, name, at+max(p.TTL, minTTL))
	}
}

func (c *cache) add(addr netip.Addr, name string, expires int64) {
	list, known := c.byAddr[addr]
	if !known {
		if len(c.order) >= maxNames {
			delete(c.byAddr, c.order[0])
			c.order = c.order[1:]
		}
		c.order = append(c.order, addr)
	}
	for i := range list {
		if list[i].name == name {
			list[i].expires = max(list[i].expires, expires)
			return
		}
	}
	if len(list) >= maxNamesPerAddr {
		first := 0
		for i := range list {
			if list[i].expires < list[first].expires {
				first = i
			}
		}
		list = slices.Delete(list, first, first+1)
	}
	c.byAddr[addr] = append(list, nameEntry{name, expires})
}

// of lists the names of an address, sorted, that live longer than the time at.
func (c *cache) of(addr netip.Addr, at int64) []string {
	var out []string
	for _, e := range c.byAddr[addr] {
		if e.expires > at {
			out = append(out, e.name)
		}
	}
	slices.Sort(out)
	return out
}
