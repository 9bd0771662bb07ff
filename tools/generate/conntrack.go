package main

import (
	"fmt"
	"strings"
)

// A tuple has the addresses and ports of one direction.
type tuple struct {
	src, dst     string
	sport, dport int
}

func (t tuple) reversed() tuple { return tuple{t.dst, t.src, t.dport, t.sport} }

func (t tuple) object() object {
	return object{"proto": "tcp", "src": t.src, "dst": t.dst, "sport": t.sport, "dport": t.dport}
}

// A hop is the conntrack entry of a connection in one namespace.
type hop struct {
	source      int
	orig, reply tuple
	id, zone    int
	gone        bool // destroyed
	state       string
}

// A socket is the socket of one end. The source of its tuple is its own address.
type socket struct {
	netns int
	tuple tuple
	inode int
	state int // as in /proc/net/tcp; 0 without a row
}

// A conn is a connection with its conntrack entries and its sockets.
type conn struct {
	hops           []hop
	client, server socket
	step           int // index of its next step in lives
}

func (g *generator) address() string {
	switch {
	case g.loopback && g.chance(45):
		return pick(g, "127.0.0.1", "127.0.0.1", "127.0.0.2")
	case g.chance(30):
		return fmt.Sprintf("172.17.0.%d", 2+g.IntN(2))
	}
	return fmt.Sprintf("10.0.0.%d", 1+g.IntN(4))
}

func (g *generator) ends() (client, server string) {
	if g.v6 && g.chance(40) {
		if g.loopback && g.chance(50) {
			return "::1", "::1"
		}
		return fmt.Sprintf("fd00::%d", 1+g.IntN(3)), fmt.Sprintf("fd00:1::%d", 1+g.IntN(3))
	}
	client, server = g.address(), g.address()
	if local(client) != local(server) && g.chance(80) {
		server = client
	}
	return client, server
}

func local(a string) bool { return strings.HasPrefix(a, "127.") || a == "::1" }

// connect begins a connection that one or more namespaces see, each with or
// without NAT.
func (g *generator) connect() {
	for len(g.conns) > 3 {
		if !g.chance(15) { // else its end is lost
			for i := range g.conns[0].hops {
				g.send(&g.conns[0].hops[i], "destroy", "")
			}
		}
		g.conns = g.conns[1:]
	}
	a, b := g.ends()
	t := tuple{a, b, pick(g, 40000, 40001, 40002, 8080, 80, 1024), pick(g, 80, 80, 443, 8080, 9, 40000)}
	c := &conn{client: socket{netns: pick(g, 100, 100, 200, 300), tuple: t}}
	orig := t
	for range 1 + g.IntN(len(g.tables)+1) {
		reply := orig.reversed()
		if !g.chance(45) {
			reply = g.translate(reply)
		}
		h := hop{source: pick(g, g.tables...), orig: orig, reply: reply, id: g.identity()}
		if g.zones {
			h.zone = pick(g, 0, 0, 1, 2)
		}
		c.hops = append(c.hops, h)
		orig = reply.reversed()
	}
	c.server = socket{netns: pick(g, 100, 200, 200, 300), tuple: orig.reversed()}
	if local(a) && g.chance(75) {
		c.server.netns = c.client.netns
	}
	if g.chance(20) {
		c.step = pick(g, 2, 2, 3, 5) // picked up in mid-stream, or its first events are lost
	}
	if g.chance(75) {
		c.client.state, c.client.inode = 1, g.inode()
	}
	if g.chance(75) {
		c.server.state, c.server.inode = 1, g.inode()
	}
	g.conns = append(g.conns, c)
	if !g.chance(15) { // else it has sockets only
		g.advance(c)
	}
}

// translate applies NAT to a reply tuple, whose source is the real server.
func (g *generator) translate(t tuple) tuple {
	four := t.src[0] >= '0' && t.src[0] <= '9' && len(t.src) > 6
	other := func() string {
		if !four {
			return fmt.Sprintf("fd00:2::%d", 1+g.IntN(2))
		}
		return fmt.Sprintf("10.9.0.%d", 1+g.IntN(3))
	}
	n := g.IntN(8)
	if n != 1 && n != 3 && n != 5 { // the server's side
		if n != 4 {
			t.src = other()
		}
		if n != 0 {
			t.sport = pick(g, 8080, 9090, t.sport)
		}
	}
	if n%2 == 1 || n == 6 { // the client's side
		if n != 5 {
			t.dst = other()
		}
		if n != 1 {
			t.dport = pick(g, 50000, 50001, t.dport)
		}
	}
	return t
}

func (g *generator) identity() int {
	if g.chance(15) {
		return 1 + g.IntN(4) // perhaps the id of another connection
	}
	g.ids++
	return g.ids
}

func (g *generator) inode() int {
	if g.chance(12) {
		return pick(g, 0, 7, 8)
	}
	g.inodes++
	return g.inodes
}

var lives = [...]struct{ kind, state string }{
	{"new", "SYN_SENT"}, {"update", "SYN_RECV"}, {"update", "ESTABLISHED"}, {"update", "FIN_WAIT"},
	{"update", "LAST_ACK"}, {"update", "TIME_WAIT"}, {"destroy", ""},
}

// advance sends the next step of the connection from its hops.
func (g *generator) advance(c *conn) {
	at := min(c.step, len(lives)-1)
	kind, state := lives[at].kind, lives[at].state
	if at >= 1 && at < 5 && g.chance(8) {
		state = pick(g, "CLOSE", "CLOSE_WAIT", "SYN_SENT2", "SYN_SENT", "NONE")
	}
	for i := range c.hops {
		if h := &c.hops[i]; !g.chance(10) {
			g.send(h, kind, state)
		}
		if g.chance(10) {
			g.wait()
		}
	}
	switch {
	case at == 2:
	case at >= 3 && g.chance(60):
		c.client.state = pick(g, 0, 4, 5, 6)
		c.server.state = pick(g, 0, 8, 9, 1)
	}
	c.step = at + 1
	if at >= 2 && at < 6 && g.chance(12) {
		c.step = 6 // destroyed at once
	}
}

// send adds a message about an entry.
func (g *generator) send(h *hop, kind, state string) {
	o := object{"type": kind, "id": h.id, "orig": h.orig.object()}
	if h.reply != h.orig.reversed() {
		o["reply"] = h.reply.object()
	}
	if h.zone != 0 {
		o["zone"] = h.zone
	}
	if kind == "destroy" {
		h.gone = true
		if g.chance(25) {
			state = pick(g, "TIME_WAIT", "CLOSE", "ESTABLISHED", "SYN_SENT", "LAST_ACK")
		}
	} else if h.gone = false; state != "" {
		h.state = state
	}
	if state != "" && !g.chance(12) {
		o["state"] = state
		if g.chance(30) {
			o["tcp_flags"] = pick(g, []int{3, 3}, []int{0, 0}, []int{8, 8}, []int{10, 10}, []int{11, 9}, []int{8, 0}, []int{1, 0}, []int{2, 2})
		}
	}
	if g.chance(20) {
		o["status"] = pick(g, []string{"SEEN_REPLY"}, []string{"SEEN_REPLY", "ASSURED"}, []string{}, []string{"EXPECTED"}, []string{"EXPECTED", "SEEN_REPLY"}, []string{"CONFIRMED"}, []string{"ASSURED"})
	}
	g.past = append(g.past, o)
	g.add(h.source, "conntrack", o)
}

// replay repeats an earlier message, perhaps with a change.
func (g *generator) replay() {
	if len(g.past) == 0 {
		return
	}
	o := object{}
	for k, v := range pick(g, g.past[max(0, len(g.past)-30):]...) {
		o[k] = v
	}
	switch g.IntN(5) {
	case 0:
		o["type"] = pick(g, "new", "update", "destroy")
	case 1:
		o["state"] = pick(g, "SYN_SENT", "SYN_RECV", "ESTABLISHED", "CLOSE", "TIME_WAIT", "FIN_WAIT")
	case 2:
		o["id"] = g.identity()
	case 3:
		o["zone"] = g.IntN(3)
	}
	g.add(pick(g, g.tables...), "conntrack", o)
}

// reopen opens a connection again.
func (g *generator) reopen(c *conn) {
	id := g.chance(60)
	for i := range c.hops {
		if h := &c.hops[i]; id {
			h.id = g.identity()
		}
	}
	if g.chance(20) && len(c.hops) > 0 {
		h := &c.hops[0]
		*h = hop{source: h.source, orig: h.reply, reply: h.orig, id: h.id, zone: h.zone} // in the other direction
	}
	c.client.inode, c.server.inode = g.inode(), g.inode()
	c.client.state, c.server.state = pick(g, 0, 1, 1), pick(g, 0, 1, 1)
	c.step = pick(g, 0, 0, 0, 2)
	g.advance(c)
}

// dump adds a table dump, with other records in between.
func (g *generator) dump() {
	source := pick(g, g.tables...)
	g.add(source, "conntrack_dump", object{"phase": "begin"})
	g.interleave()
	for _, c := range g.conns {
		for i := range c.hops {
			h := &c.hops[i]
			if h.source != source || h.gone && !g.chance(25) || g.chance(15) {
				continue
			}
			state := h.state
			if g.chance(12) {
				state = pick(g, "", "CLOSE", "TIME_WAIT", "ESTABLISHED", "SYN_SENT")
			}
			gone := h.gone
			g.send(h, "dump", state)
			h.gone = gone
			if g.chance(12) {
				g.interleave()
			}
		}
	}
	g.interleave()
	end := object{"phase": "end"}
	switch g.IntN(10) {
	case 0:
		return
	case 1:
		end["failed"] = "no buffer"
	case 2:
		g.add(0, "gap", object{"source": source, "lost": 3})
	}
	g.add(source, "conntrack_dump", end)
}

// interleave adds other records during a dump or a walk.
func (g *generator) interleave() {
	if g.depth > 0 {
		return
	}
	g.depth++
	for g.chance(45) {
		g.wait()
		g.act()
	}
	if g.chance(3) {
		g.tick()
	}
	g.depth--
}
