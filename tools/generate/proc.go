package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// walk adds a walk of /proc, with other records in between.
func (g *generator) walk() {
	g.add(0, "proc_walk", object{"phase": "begin"})
	for _, netns := range []int{100, 200, 300} {
		if g.chance(12) {
			continue
		}
		g.interleave()
		g.read(netns)
		g.interleave()
		if !g.chance(15) {
			g.owners(netns)
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
		g.add(0, "proc_walk", object{"phase": "end", "failed": "too slow"})
		return
	case 2:
		g.add(0, "gap", object{"source": "proc", "lost": 0, "why": pick(g, "", "skipped")})
	}
	g.add(0, "proc_walk", object{"phase": "end"})
}

// outside adds tables and lists of sockets outside of a walk.
func (g *generator) outside() {
	for range 1 + g.IntN(3) {
		switch g.IntN(4) {
		case 0:
			g.owners(pick(g, 100, 200))
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
		o["checked"] = (g.at - min(g.at, 1e7*time.Duration(g.IntN(20)))).String()
	}
	g.add(0, "proc_unchanged", o)
}

// read adds the tables of one namespace.
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
		o["read_start"] = (g.at - min(g.at, 1e7*time.Duration(g.IntN(12)))).String()
	}
	switch {
	case g.chance(4):
		delete(o, "text")
		o["absent"] = true
	case g.chance(12) && len(rows) > 1:
		o["text"], o["more"] = head+rows[0], true
		g.add(0, "proc_net", o)
		g.interleave()
		o = object{"netns": netns, "table": name, "part": 1, "text": strings.Join(rows[1:], "")}
	}
	g.add(0, "proc_net", o)
}

// rows returns the lines of a namespace's tables tcp and tcp6.
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

// hexadecimal returns an address and port as in /proc/net/tcp on a little-endian
// host.
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

// owners adds the list of the namespace's sockets and their processes.
func (g *generator) owners(netns int) {
	list := []object{}
	comms := map[int]string{}
	addSocket := func(inode, pid int, comm string) {
		if comms[pid] == "" {
			comms[pid] = comm
		}
		list = append(list, object{"inode": inode, "pid": pid, "comm": comms[pid]})
	}
	for i, c := range g.conns {
		if c.client.netns == netns && c.client.inode != 0 && !g.chance(15) {
			addSocket(c.client.inode, netns+pick(g, 1, 2, 3), pick(g, "curl", "client"))
		}
		if c.server.netns == netns && c.server.inode != 0 && !g.chance(15) {
			for range 1 + g.IntN(3) {
				addSocket(c.server.inode, netns+10+g.IntN(4), pick(g, "nginx", "server \u00e4<&>"))
			}
		}
		if i == 0 && g.chance(20) {
			addSocket(pick(g, 7, 8), netns+50, "shares")
			addSocket(pick(g, 7, 8, 0), pick(g, 150, 250), "shares")
		}
	}
	g.add(0, "proc_sockets", object{"netns": netns, "sockets": list})
}
