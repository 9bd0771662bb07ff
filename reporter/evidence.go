package reporter

import (
	"bytes"
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// Evidence keeps those of a tape's records that what comes still depends on, as they
// are: sources and the host, all steps of the clock, the last walk of /proc, of
// each flow the first message and the last ones, and the answers that hold. A core
// that cannot read a state comes close to it with them, whatever its version
// and rules.
type Evidence struct {
	header  *capture.Header
	source  map[uint32]capture.Record // the last of each
	gap     map[uint32]capture.Record // the last of each, since its last whole dump or walk
	dump    map[uint32]capture.Record // begin of the dump that goes on
	hosts   []capture.Record          // the last ones: which addresses are gone takes two
	clock   []capture.Record
	flows   map[flowKey]*flowEvidence
	gone    []*flowEvidence // that the kernel has no more, in order
	spare   []*flowEvidence
	ticked  uint64 // record of the last tick
	walk    walkEvidence
	forward heldAnswers
	reverse heldAnswers

	message ctmsg.Message // reused from record to record
	packet  dnsmsg.Packet
	dns     dnsmsg.Message
	found   []dnsmsg.Answer
}

// NewEvidence returns the evidence of a tape with that header.
func NewEvidence(h *capture.Header) *Evidence {
	return &Evidence{header: h, source: map[uint32]capture.Record{}, gap: map[uint32]capture.Record{}, dump: map[uint32]capture.Record{},
		flows: map[flowKey]*flowEvidence{}, forward: heldAnswers{by: map[answerKey]*heldAnswer{}}, reverse: heldAnswers{by: map[answerKey]*heldAnswer{}}}
}

// Add takes the next record. It keeps nothing of its payload.
func (e *Evidence) Add(r *capture.Record) {
	switch size := len(r.Payload); r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry, capture.KindDumpBegin, capture.KindSource, capture.KindGap:
		if size > maxMessage {
			return
		}
	case capture.KindDNS, capture.KindReverseName:
		if size > maxPacket {
			return
		}
	}
	switch r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry:
		e.conntrack(r)
	case capture.KindDumpBegin:
		keepLast(e.dump, r)
	case capture.KindDumpEnd:
		e.dumpEnd(r)
	case capture.KindWalkBegin, capture.KindWalkEnd, capture.KindProcNet, capture.KindProcSockets, capture.KindProcUnchanged:
		if whole := e.walk.add(r); whole {
			delete(e.gap, r.Source)
			e.forget()
		}
	case capture.KindDNS:
		e.dnsPacket(r)
	case capture.KindReverseName:
		var p capture.ReverseName
		if r.Decode(&p) == nil && len(p.Names) > 0 {
			e.reverse.add([]answerKey{{name: p.Addr}}, r, r.At+max(cmp.Or(p.TTL, reverseTTL), minTTL))
		}
	case capture.KindSource:
		keepLast(e.source, r)
	case capture.KindGap:
		keepLast(e.gap, r)
	case capture.KindHost:
		if len(e.hosts) == maxHosts {
			e.hosts = slices.Delete(e.hosts, 0, 1)
		}
		e.hosts = append(e.hosts, keep(r))
	case capture.KindClock:
		e.clock = append(e.clock, keep(r))
	case capture.KindTick:
		e.ticked = r.Seq
		e.forget()
	}
}

func keep(r *capture.Record) capture.Record {
	k := *r
	k.Payload = bytes.Clone(r.Payload)
	return k
}

// Bytes of records that are kept at most: the kernel sends none larger.
const (
	maxMessage = 8 << 10
	maxPacket  = 68 << 10
)

// keepLast keeps the last record of each source.
func keepLast(by map[uint32]capture.Record, r *capture.Record) {
	if _, known := by[r.Source]; known || len(by) < MaxSources {
		by[r.Source] = keep(r)
	}
}

// Records returns what is kept and still holds at a time, in the order of the
// tape. It is good until the next Add.
func (e *Evidence) Records(at int64) []capture.Record {
	out := slices.Concat(e.clock, e.hosts)
	for _, by := range [...]map[uint32]capture.Record{e.source, e.gap, e.dump} {
		out = slices.AppendSeq(out, maps.Values(by)) // sorted below
	}
	for _, f := range e.flows { // sorted below
		if f.over == 0 || e.needs(f.over) {
			out = f.appendTo(out)
		}
	}
	for _, f := range e.gone {
		out = f.appendTo(out)
	}
	out = e.walk.appendTo(out)
	out = e.reverse.appendTo(e.forward.appendTo(out, at), at)
	slices.SortFunc(out, func(a, b capture.Record) int { return cmp.Compare(a.Seq, b.Seq) })
	return slices.CompactFunc(out, func(a, b capture.Record) bool { return a.Seq == b.Seq })
}

const maxHosts = 16

// flowEvidence is a flow's first message and its last, which may be one. If that
// shows no state, it is also the last one that did.
type flowEvidence struct {
	key                flowKey
	first, state, last capture.Record
	stated             bool   // last shows a state
	over               uint64 // record that showed the flow's end
}

func (f *flowEvidence) begin(key *flowKey, r *capture.Record, m *ctmsg.Message) {
	f.key, f.over, f.stated, f.state.Seq = *key, 0, false, 0
	keepIn(&f.first, r)
	f.goOn(r, m)
}

func (f *flowEvidence) goOn(r *capture.Record, m *ctmsg.Message) {
	switch {
	case m.HasState:
		f.state.Seq, f.over = 0, 0
		if m.State == ctmsg.TimeWait || m.State == ctmsg.Close {
			f.over = r.Seq
		}
	case f.stated:
		f.state, f.last = f.last, f.state
	}
	f.stated = m.HasState
	keepIn(&f.last, r)
}

// keepIn keeps a record in the memory of another one.
func keepIn(to, r *capture.Record) {
	room := to.Payload
	*to = *r
	to.Payload = append(room[:0], r.Payload...)
}

func (f *flowEvidence) appendTo(out []capture.Record) []capture.Record {
	if f.state.Seq != 0 {
		out = append(out, f.state)
	}
	return append(out, f.first, f.last)
}

func (e *Evidence) conntrack(r *capture.Record) {
	m := &e.message
	if m.Decode(r.Payload, e.header.BigEndian) != nil || m.Orig.Proto != dnsmsg.TCP {
		return
	}
	key := flowKey{orig: m.Orig, id: m.ID, source: r.Source, zone: m.Zone}
	f := e.flows[key]
	switch {
	case f == nil:
		f = new(flowEvidence)
		if n := len(e.spare); n > 0 {
			f, e.spare = e.spare[n-1], e.spare[:n-1]
		}
		e.flows[key] = f
		f.begin(&key, r, m)
	case m.Type == ctmsg.New && r.Kind == capture.KindConntrack:
		f.begin(&key, r, m)
	default:
		f.goOn(r, m)
	}
	if m.Type == ctmsg.Destroy && r.Kind == capture.KindConntrack {
		delete(e.flows, key)
		e.gone = append(e.gone, f)
	}
}

// dumpEnd ends the flows that a whole dump lacks.
func (e *Evidence) dumpEnd(r *capture.Record) {
	begin, dumping := e.dump[r.Source]
	delete(e.dump, r.Source)
	var p capture.ConntrackDump
	if r.Decode(&p) != nil || !dumping || p.Failed != "" || e.gap[r.Source].Seq > begin.Seq {
		return
	}
	delete(e.gap, r.Source)
	for key, f := range e.flows { // order cannot matter: a map less some
		if key.source == r.Source && f.last.Seq < begin.Seq {
			delete(e.flows, key)
		}
	}
}

// needs reports whether the end of a flow is still to be told of, or can be
// contradicted by a row.
func (e *Evidence) needs(end uint64) bool {
	return end > e.ticked || e.walk.finished > 0 && end > e.walk.finished
}

// maxGone bounds the flows that are kept for a walk which does not come to its
// end.
const maxGone = 1 << 16

// forget drops the flows that were reported as closed, once a walk that began
// after their end has finished: until then a row may show them.
func (e *Evidence) forget() {
	i := 0
	for ; i < len(e.gone); i++ {
		if len(e.gone)-i <= maxGone && e.needs(e.gone[i].last.Seq) {
			break
		}
	}
	e.spare = append(e.spare, e.gone[:i]...)
	e.gone = slices.Delete(e.gone, 0, i)
}

// dnsPacket keeps a packet as long as an answer in it holds.
func (e *Evidence) dnsPacket(r *capture.Record) {
	var p capture.DNS
	if r.Decode(&p) != nil || e.packet.Decode(p.Packet) != nil || e.packet.IsFragment() || e.packet.Proto == dnsmsg.TCP ||
		e.dns.Decode(e.packet.Payload) != nil {
		return
	}
	e.found = e.dns.Answers(e.found[:0])
	keys, ttl := make([]answerKey, 0, len(e.found)), int64(minTTL)
	for i := range e.found {
		a := &e.found[i]
		keys = append(keys, answerKey{a.Addr, a.Name})
		ttl = max(ttl, int64(a.TTL)*1e9)
	}
	e.forward.add(keys, r, r.At+ttl)
}

type answerKey struct {
	addr netip.Addr
	name string
}

// A heldAnswer is a record that says something which no later one says.
type heldAnswer struct {
	capture.Record
	expires int64
}

// heldAnswers are the last ones of every kind.
type heldAnswers struct {
	by    map[answerKey]*heldAnswer
	sweep int // when the map has that many
	bytes int // of records that were added since
}

const (
	maxAnswers     = 1 << 18
	maxAnswerBytes = 256 << 20
)

func (a *heldAnswers) add(keys []answerKey, r *capture.Record, expires int64) {
	if len(keys) == 0 {
		return
	}
	x := &heldAnswer{keep(r), expires}
	for _, k := range keys {
		a.by[k] = x
	}
	if a.bytes += len(r.Payload); len(a.by) < a.sweep && a.bytes < maxAnswerBytes {
		return
	}
	maps.DeleteFunc(a.by, func(_ answerKey, x *heldAnswer) bool { return x.expires <= r.At })
	a.bytes = 0
	for _, x := range a.by { // order cannot matter: a sum
		a.bytes += len(x.Payload)
	}
	if len(a.by) > maxAnswers || a.bytes > maxAnswerBytes/2 {
		clear(a.by)
		a.bytes = 0
	}
	a.sweep = 2*len(a.by) + 1024
}

// appendTo appends the records that hold at a time; sorted by whoever asks.
func (a *heldAnswers) appendTo(out []capture.Record, at int64) []capture.Record {
	for _, x := range a.by { // sorted below, in Records
		if x.expires > at {
			out = append(out, x.Record)
		}
	}
	return out
}
