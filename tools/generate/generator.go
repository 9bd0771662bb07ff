package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
)

type object map[string]any

// A generator makes one tape's script.
type generator struct {
	*rand.Rand
	at           time.Duration
	lines        [][]byte // without the header
	times        []string // of each line
	traits       []string
	expectations []string
	scoped       bool // the fixture has a ScopeFile

	several, zones, loopback, v6, names, sparse, many bool

	tables []int // conntrack sources
	open   map[int]bool
	conns  []*conn
	past   []object // conntrack records so far
	ids    int
	inodes int
	depth  int // of nested interleave calls
}

// Source numbers.
const (
	tableOne   = 1
	proc       = 2
	dns        = 3
	rdns       = 4
	tableTwo   = 11
	tableThree = 12
	tableFour  = 13
)

// namespace returns the namespace of a source.
func (g *generator) namespace(source int) int {
	switch source {
	case tableOne:
		return 100
	case tableTwo:
		return 200
	case tableThree:
		return 0
	}
	return 200 // a second source of the same namespace
}

func generate(number int) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(uint64(number), 2016)), open: map[int]bool{}, ids: 5, inodes: 1000}
	trait := func(name string, on bool) bool {
		if on {
			g.traits = append(g.traits, name)
		}
		return on
	}
	g.several = trait("several namespaces", number%2 == 1)
	g.zones = trait("zones", number%4 >= 2)
	g.loopback = trait("loopback", number%3 == 0)
	g.v6 = trait("IPv6", number%5 == 1)
	g.names = trait("names", number%4 == 1)
	g.sparse = trait("sources without records", number%6 == 2)
	g.many = trait("many flows", number == 4)
	g.scoped = number == 1 || number == 6
	if len(g.traits) == 0 {
		g.traits = []string{"one namespace"}
	}
	g.tables = []int{tableOne}
	if g.several {
		g.tables = []int{tableOne, tableTwo, tableThree, tableFour}[:2+g.IntN(3)]
	}
	g.header()
	g.control()
	if g.many {
		g.manyFlows()
	}
	length := 72 + g.IntN(16)
	for i := range length {
		g.wait()
		g.act()
		if i%14 == 13 {
			g.tick()
		}
	}
	g.later(3 * time.Second)
	g.tick()
	g.expectations = append(g.expectations, "203.0.113.99 absent", "203.0.113.1:50000->203.0.113.2:443 present once at +1s",
		"203.0.113.1:50000->203.0.113.2:443 present once at +2s", "203.0.113.2->* absent", "203.0.113.1 absent at end")
	return g
}

func (g *generator) script() []byte {
	head, _ := json.Marshal(object{"tape": object{"host_id": "host1", "host_name": "Host1.", "start": "2026-01-02T03:04:05Z",
		"local_networks": []string{"172.17.0.0/16", "fd00:1::/64"}}})
	return append(append(head, '\n'), append(bytes.Join(g.lines, []byte("\n")), '\n')...)
}

func line(at, kind string, body any) []byte {
	b, err := json.Marshal(object{"at": at, kind: body})
	if err != nil {
		panic(err) // cannot happen: objects are built here
	}
	return b
}

// add adds a record. With source 0 the line has no source.
func (g *generator) add(source int, kind string, body any) {
	o := object{"at": g.at.String(), kind: body}
	if source != 0 {
		o["source"] = source
	}
	g.put(o)
}

func (g *generator) put(o object) {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // cannot happen: objects are built here
	}
	g.lines = append(g.lines, b)
	g.times = append(g.times, g.at.String())
}

// raw adds a record with a payload that is not valid for its kind.
func (g *generator) raw(source int, kind string, body object, payload []byte) {
	g.put(object{"at": g.at.String(), "source": source, kind: body, "raw": payload})
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) later(d time.Duration) { g.at += d }

func (g *generator) wait() {
	switch n := g.IntN(100); {
	case n < 45:
	case n < 60:
		g.later(time.Millisecond)
	case n < 75:
		g.later(20 * time.Millisecond)
	case n < 85:
		g.later(50 * time.Millisecond)
	case n < 95:
		g.later(700 * time.Millisecond)
	case n < 99:
		g.later(time.Duration(1+g.IntN(4)) * time.Second)
	default:
		g.later(time.Duration(1+g.IntN(90))*time.Minute + 123456789*time.Nanosecond)
	}
}

func (g *generator) tick() {
	body := object{}
	if g.chance(15) {
		body["interval"] = pick(g, "3s", "1500ms", "1h")
	}
	g.add(0, "tick", body)
}

// header opens the sources.
func (g *generator) header() {
	if g.sparse {
		return
	}
	for _, s := range g.tables {
		g.openSource(s)
	}
	g.openSource(proc)
	if g.names {
		g.openSource(dns)
		g.openSource(rdns)
	}
}

func (g *generator) openSource(s int) {
	kind := "conntrack"
	switch s {
	case proc:
		kind = "proc"
	case dns:
		kind = "dns"
	case rdns:
		kind = "rdns"
	}
	body := object{"number": s, "kind": kind}
	if kind == "conntrack" {
		body["netns"] = g.namespace(s)
	}
	g.open[s] = true
	g.add(0, "source", body)
}

// control adds a connection whose correct reports are known.
func (g *generator) control() {
	send := func(kind, state string) {
		o := object{"type": kind, "id": 4, "orig": tuple{"203.0.113.1", "203.0.113.2", 50000, 443}.object()}
		if state != "" {
			o["state"] = state
		}
		g.add(tableOne, "conntrack", o)
	}
	send("new", "SYN_SENT")
	send("update", "SYN_RECV")
	g.later(500 * time.Millisecond)
	send("update", "ESTABLISHED")
	g.later(500 * time.Millisecond)
	g.add(0, "tick", object{})
	send("update", "FIN_WAIT")
	send("update", "TIME_WAIT")
	g.later(time.Second)
	g.add(0, "tick", object{})
	send("destroy", "")
	g.later(time.Millisecond)
}

// manyFlows adds more flows than the other tapes have, and closes most of them.
func (g *generator) manyFlows() {
	for i := range 280 {
		t := tuple{fmt.Sprintf("10.%d.%d.%d", g.IntN(3), g.IntN(200), i%256), fmt.Sprintf("10.0.%d.%d", i%7, g.IntN(250)), 1 + g.IntN(65535), pick(g, 80, 8, 800, 8080, 443, 65535)}
		c := &conn{hops: []hop{{source: tableOne, orig: t, reply: t.reversed(), id: 1000 + i}}, client: socket{netns: 100, tuple: t}, server: socket{netns: 100, tuple: t.reversed()}, step: 2 - 2*(i%2)}
		g.conns = append(g.conns, c)
		g.advance(c)
	}
	g.tick()
	flows := g.conns
	for _, c := range flows[:275] {
		g.send(&c.hops[0], "destroy", "")
	}
	g.conns = flows[275:]
}

func (g *generator) act() {
	switch n := g.IntN(100); {
	case n < 14 || len(g.conns) == 0:
		g.connect()
	case n < 50:
		g.advance(pick(g, g.conns...))
	case n < 55:
		g.replay()
	case n < 59:
		g.reopen(pick(g, g.conns...))
	case n < 67:
		g.dump()
	case n < 80:
		g.walk()
	case n < 84:
		g.outside()
	case n < 86:
		g.gap()
	case n < 87:
		g.sources()
	case n < 89:
		g.host()
	case n < 98:
		if g.names || g.chance(10) {
			g.name()
		} else {
			g.advance(pick(g, g.conns...))
		}
	case n < 99:
		g.add(0, "clock", object{"step": pick(g, "1h", "-30m", "2s")})
	default:
		g.broken()
	}
}
