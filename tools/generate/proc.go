package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// walk is one walk of /proc, with what happens meanwhile.
func (g *generator) walk() {
	g.say(0, "proc_walk", object{"phase": "begin"})
	for _, netns := range []int{100, 200, 300} {
		if g.chance(12) {
			continue
		}
		g.meanwhile()
		g.read(netns)
		g.meanwhile()
		if !g.chance(15) {
			g.own(netns)
		}
	}
	if g.chance(10) {
		g.read(0)
		g.read(0)
	}
	switch g.IntN(12) {
	case 0:
		return
	case 1:
		g.say(0, "proc_walk", object{"phase": "end", "failed": "too slow"})
		return
	case 2:
		g.say(0, "gap", object{"source": "proc", "lost": 0, "why": pick(g, "", "skipped")})
	}
	g.say(0, "proc_walk", object{"phase": "end"})
}

// outside is a table or a list that stands outside any walk.
func (g *generator) outside() {
	for range 1 + g.IntN(3) {
		switch g.IntN(4) {
		case 0:
			g.own(pick(g, 100, 200))
		case 1:
			g.unchanged(pick(g, 100, 200, 300, 0))
		default:
			g.read(pick(g, 0, 100, 200))
		}
	}
}

func (g *generator) unchanged(netns int) {
	o := object{"netns": netns, "table": pick(g, "tcp", "tcp", "tcp6")}
	if g.chance(40) {
		o["checked"] = (g.at - min(g.at, 1e7*int64Duration(g.IntN(20)))).String()
	}
	g.say(0, "proc_unchanged", o)
}

// read is the reading of one namespace's tables.
func (g *generator) read(netns int) {
	if g.chance(15) {
		g.unchanged(netns)
		return
	}
	four, six := g.rows(netns)
	g.table(netns, "tcp", four)
	if len(six) > 0 || g.chance(25) {
		g.table(netns, "tcp6", six)
	}
	if g.chance(8) {
		g.table(netns, "udp", four)
	}
}

func (g *generator) table(netns int, name string, rows []string) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	o := object{"netns": netns, "table": name, "text": head + strings.Join(rows, "")}
	if g.chance(40) {
		o["read_start"] = (g.at - min(g.at, 1e7*int64Duration(g.IntN(12)))).String()
	}
	switch {
	case g.chance(4):
		delete(o, "text")
		o["absent"] = true
	case g.chance(12) && len(rows) > 1:
		o["text"], o["more"] = head+rows[0], true
		g.say(0, "proc_net", o)
		g.meanwhile()
		o = object{"netns": netns, "table": name, "part": 1, "text": strings.Join(rows[1:], "")}
	}
	g.say(0, "proc_net", o)
}

// rows are the lines of a namespace's tables, of IPv4 and IPv6.
func (g *generator) rows(netns int) (four, six []string) {
	add := func(t tuple, state, inode int) {
		a, mapped := netip.MustParseAddr(t.src), g.chance(15)
		row := fmt.Sprintf("%4d: %s %s %02X 00000000:00000000 00:00000000 00000000  1000        0 %d 1 0000000000000000 20 4 30 10 -1\n",
			len(four)+len(six), hexadecimal(t.src, t.sport, mapped), hexadecimal(t.dst, t.dport, mapped), state, inode)
		if a.Is4() && !mapped {
			four = append(four, row)
		} else {
			six = append(six, row)
		}
	}
	for _, c := range g.conns {
		for _, s := range []socket{c.client, c.server} {
			if s.state == 0 || g.chance(8) || (s.netns != netns && netns != 0 && !g.chance(4)) {
				continue
			}
			inode := s.inode
			if g.chance(4) {
				inode = 0
			}
			add(s.tuple, s.state, inode)
			if g.chance(3) {
				add(s.tuple, 1, g.inode())
			}
		}
		if t := c.server.tuple; c.server.netns == netns && g.chance(25) {
			any := "0.0.0.0"
			if netip.MustParseAddr(t.src).Is6() {
				any = "::"
			}
			add(tuple{pick(g, t.src, any, any), any, t.sport, 0}, 10, g.inode())
		}
	}
	if g.chance(5) {
		four = append(four, "   9: nonsense\n")
	}
	return four, six
}

// hexadecimal is an end as /proc/net writes it on a little-endian host.
func hexadecimal(addr string, port int, mapped bool) string {
	a := netip.MustParseAddr(addr)
	b := a.AsSlice()
	if mapped && a.Is4() {
		m := a.As16()
		b = m[:]
		if a == netip.IPv4Unspecified() {
			b = make([]byte, 16)
		}
	}
	var out strings.Builder
	for len(b) > 0 {
		fmt.Fprintf(&out, "%08X", binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	return fmt.Sprintf("%s:%04X", out.String(), port)
}

// own lists which processes hold the namespace's sockets.
func (g *generator) own(netns int) {
	list := []object{}
	comms := map[int]string{}
	hold := func(inode, pid int, comm string) {
		if comms[pid] == "" {
			comms[pid] = comm
		}
		list = append(list, object{"inode": inode, "pid": pid, "comm": comms[pid]})
	}
	for i, c := range g.conns {
		if c.client.netns == netns && c.client.inode != 0 && !g.chance(15) {
			hold(c.client.inode, netns+pick(g, 1, 2, 3), pick(g, "curl", "client"))
		}
		if c.server.netns == netns && c.server.inode != 0 && !g.chance(15) {
			for range 1 + g.IntN(3) {
				hold(c.server.inode, netns+10+g.IntN(4), pick(g, "nginx", "server \u00e4<&>"))
			}
		}
		if i == 0 && g.chance(20) {
			hold(pick(g, 7, 8), netns+50, "shares")
			hold(pick(g, 7, 8, 0), pick(g, 150, 250), "shares")
		}
	}
	g.say(0, "proc_sockets", object{"netns": netns, "sockets": list})
}
