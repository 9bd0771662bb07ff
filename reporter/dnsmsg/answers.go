package dnsmsg

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Answer is an address that a DNS message gives for a name.
type Answer struct {
	Addr netip.Addr
	Name string // the question's, lower-case, in presentation form without the final dot
	TTL  uint32 // seconds; the smallest of the address record's and of the CNAME records on the way to it
}

// Answers appends the answers of the message to dst, sorted by address and name, each pair once with its longest TTL.
//
// Only a response (QR) to a standard query with rcode 0 has answers, and only for questions of type A or AAAA and class
// IN. CNAME records lead from the question's name to other names, over any number of hops and in any order. Each address
// record that one of these names owns is an answer, also one of the other family or in the additional section. Comparisons
// ignore ASCII case. If several chains of CNAME records lead to a name, the first shortest one counts. Only the first
// eight questions count: no message should have more than one (RFC 9619).
func (m *Message) Answers(dst []Answer) []Answer {
	if !m.Response || m.Opcode != 0 || m.Rcode != 0 {
		return dst
	}
	start := len(dst)
	sorted := false
	for _, q := range m.Questions[:min(len(m.Questions), maxQuestions)] {
		if q.Class != ClassIN || q.Type != TypeA && q.Type != typeAAAA || q.name.len == 0 {
			continue
		}
		if !sorted {
			m.sortOwners()
			sorted = true
		}
		dst = m.answer(dst, q)
	}
	found := dst[start:]
	slices.SortFunc(found, func(a, b Answer) int {
		if c := a.Addr.Compare(b.Addr); c != 0 {
			return c
		}
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return cmp.Compare(b.TTL, a.TTL)
	})
	found = slices.CompactFunc(found, func(a, b Answer) bool { return a.Addr == b.Addr && a.Name == b.Name })
	return dst[:start+len(found)]
}

// maxQuestions bounds the answers of a small message: every question could have every address.
const maxQuestions = 8

// work is the scratch space of Answers.
type work struct {
	owners []int32 // records sorted by owner, equal owners in the order of the message
	seen   []bool  // by index in owners of an owner's first record: its name was in the queue
	queue  []hop
}

// hop is a name that a question or a CNAME record leads to.
type hop struct {
	name name
	ttl  uint32
}

func (m *Message) sortOwners() {
	w := &m.work
	w.owners = w.owners[:0]
	for i := range m.Records {
		w.owners = append(w.owners, int32(i))
	}
	slices.SortFunc(w.owners, func(a, b int32) int {
		if c := m.compare(m.Records[a].owner, m.Records[b].owner); c != 0 {
			return c
		}
		return int(a - b)
	})
}

func (m *Message) answer(dst []Answer, q Question) []Answer {
	w := &m.work
	w.seen = append(w.seen[:0], make([]bool, len(w.owners))...)
	w.queue = append(w.queue[:0], hop{q.name, 1<<32 - 1})
	question := ""
	for i := 0; i < len(w.queue); i++ {
		h := w.queue[i]
		first, found := slices.BinarySearchFunc(w.owners, h.name, func(r int32, n name) int { return m.compare(m.Records[r].owner, n) })
		if !found || w.seen[first] {
			continue
		}
		w.seen[first] = true
		for _, at := range w.owners[first:] {
			r := &m.Records[at]
			if m.compare(r.owner, h.name) != 0 {
				break
			}
			ttl := min(r.TTL, h.ttl)
			if r.Type == TypeCNAME {
				w.queue = append(w.queue, hop{r.target, ttl})
				continue
			}
			if question == "" {
				question = text(m.wire(q.name), true)
			}
			dst = append(dst, Answer{Addr: r.Addr, Name: question, TTL: ttl})
		}
	}
	return dst
}

// compare orders names and ignores ASCII case.
func (m *Message) compare(a, b name) int {
	if a == b {
		return 0
	}
	x, y := m.wire(a), m.wire(b)
	for i := range min(len(x), len(y)) {
		if c, d := lowerASCII(x[i]), lowerASCII(y[i]); c != d {
			return int(c) - int(d)
		}
	}
	return len(x) - len(y)
}
