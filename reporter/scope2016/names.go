package scope2016

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/source"
)

// Bounds of the original's two caches, in addresses. Both drop the address that was
// written first; reading does not count as use.
const (
	maxSnooped  = 10000
	maxReversed = 500
)

// Bounds of the names in the caches, which the original did not have: bytes of all names,
// with nameCost for each. If there are more, the address that was written first is
// dropped, or the answer is not kept.
const (
	maxNameBytes = 32 << 20
	nameCost     = 128
)

// reverseLife, ns, is how long an answer of a reverse look-up is kept, with or without
// names. The original did not look the address up again before that.
const reverseLife = 30 * 60 * 1e9

// snoopedNames are the names that DNS answers gave to addresses. They never expire.
type snoopedNames struct {
	byAddr map[netip.Addr]*snooped
	order  []netip.Addr
	bytes  int // of all names
}

type snooped struct {
	known map[string]bool
	names []string // sorted if nothing was added since
	dirty bool
}

func (n *snoopedNames) init() { n.byAddr = make(map[netip.Addr]*snooped) }

func (n *snoopedNames) add(addr netip.Addr, name string) {
	e := n.byAddr[addr]
	if e == nil {
		if len(n.order) >= maxSnooped {
			n.dropFirst()
		}
		n.order = append(n.order, addr)
		e = &snooped{known: make(map[string]bool)}
		n.byAddr[addr] = e
	}
	if !e.known[name] {
		e.known[name] = true
		e.names, e.dirty = append(e.names, name), true
		n.bytes += len(name) + nameCost
	}
	for n.bytes > maxNameBytes {
		n.dropFirst()
	}
}

func (n *snoopedNames) dropFirst() {
	n.bytes -= sizeOf(n.byAddr[n.order[0]].names)
	delete(n.byAddr, n.order[0])
	n.order = n.order[1:]
}

// sizeOf returns the bytes that count for names.
func sizeOf(names []string) (bytes int) {
	for _, name := range names {
		bytes += len(name) + nameCost
	}
	return bytes
}

// of lists the names of an address, sorted. The list does not change later.
func (n *snoopedNames) of(addr netip.Addr) []string {
	e := n.byAddr[addr]
	if e == nil {
		return nil
	}
	if e.dirty {
		e.names = slices.Clone(e.names)
		slices.Sort(e.names)
		e.dirty = false
	}
	return slices.Clip(e.names)
}

// dnsPacket learns names from a packet. The original captured incoming packets of port
// 53 without a VLAN tag, and skipped fragments.
func (m *Machine) dnsPacket(p *capture.DNS, s *source.Source) {
	const port = 53
	if p.Direction == capture.DirectionOut || len(p.Packet) == 0 || p.Packet[0]>>4 != 4 && p.Packet[0]>>4 != 6 {
		s.Ignored++
		return
	}
	switch err := m.packet.Decode(p.Packet); {
	case err == dnsmsg.ErrFragment || err == dnsmsg.ErrProtocol || err == nil && m.packet.IsFragment():
		s.Ignored++
		return
	case err != nil:
		s.Undecodable++
		return
	}
	if m.packet.Src.Port() != port && m.packet.Dst.Port() != port {
		s.Ignored++
		return
	}
	if m.packet.Proto == dnsmsg.TCP && len(m.packet.Payload) < 2 { // no room for a message's length
		s.Ignored++
		return
	}
	if m.dns.Decode(m.packet.Message()) != nil {
		s.Undecodable++
		return
	}
	if !m.snoop(&m.dns) {
		s.Ignored++
	}
}

// snoop learns the addresses of the one name that a message answers for. It follows
// the first CNAME record of that name and no other one, and compares names byte by
// byte. It returns false if there is nothing to learn.
func (m *Machine) snoop(msg *dnsmsg.Message) bool {
	const rcode = 0xf // the original did not read the upper bits, in the OPT record
	if !msg.Response || msg.Rcode&rcode != 0 || len(msg.Questions) != 1 {
		return false
	}
	if q := msg.Questions[0]; q.Type != dnsmsg.TypeA || q.Class != dnsmsg.ClassIN {
		return false
	}
	asked := asSent(msg.QuestionName(msg.Questions[0]))
	alias, aliased := "", false
	for _, r := range msg.Records {
		if r.Type == dnsmsg.TypeCNAME && asSent(msg.Owner(r)) == asked {
			alias, aliased = asSent(msg.Target(r)), true
			break
		}
	}
	learnt := false
	for _, r := range msg.Records {
		if r.Type != dnsmsg.TypeA {
			continue
		}
		if owner := asSent(msg.Owner(r)); owner == asked || aliased && owner == alias {
			m.snooped.add(r.Addr, asked)
			learnt = true
		}
	}
	return learnt
}

// asSent converts a name from its presentation form to the bytes of its labels, joined
// by dots.
func asSent(name string) string {
	if name == "." {
		return ""
	}
	if strings.IndexByte(name, '\\') < 0 {
		return name
	}
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] != '\\':
			b = append(b, name[i])
		case i+3 < len(name) && '0' <= name[i+1] && name[i+1] <= '9':
			b = append(b, (name[i+1]-'0')*100+(name[i+2]-'0')*10+name[i+3]-'0')
			i += 3
		case i+1 < len(name):
			b = append(b, name[i+1])
			i++
		}
	}
	return string(b)
}

// reverseNames are the answers of reverse look-ups.
type reverseNames struct {
	byAddr map[netip.Addr]reverseEntry
	order  []netip.Addr
	bytes  int // of all names
}

type reverseEntry struct {
	names   []string // sorted; none when the look-up failed
	expires int64
}

func (n *reverseNames) init() { n.byAddr = make(map[netip.Addr]reverseEntry) }

// answer adds an answer, unless the address has one: the original did not look an
// address up again while it kept an answer.
func (n *reverseNames) answer(p *capture.ReverseName, at int64) {
	addr, err := netip.ParseAddr(p.Addr)
	if err != nil {
		return
	}
	addr = addr.Unmap()
	for len(n.order) > 0 && n.byAddr[n.order[0]].expires < at { // all are kept for the same time
		n.dropFirst()
	}
	if _, known := n.byAddr[addr]; known {
		return
	}
	if len(n.order) >= maxReversed {
		n.dropFirst()
	}
	var names []string
	if p.Error == "" {
		for _, name := range p.Names {
			names = append(names, strings.TrimRight(name, "."))
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	size := sizeOf(names)
	if n.bytes+size > maxNameBytes {
		return
	}
	n.bytes += size
	n.byAddr[addr] = reverseEntry{names, at + reverseLife}
	n.order = append(n.order, addr)
}

func (n *reverseNames) dropFirst() {
	n.bytes -= sizeOf(n.byAddr[n.order[0]].names)
	delete(n.byAddr, n.order[0])
	n.order = n.order[1:]
}

// of lists the names of an address at a time, sorted.
func (n *reverseNames) of(addr netip.Addr, at int64) []string {
	if e := n.byAddr[addr]; e.expires >= at {
		return e.names
	}
	return nil
}
