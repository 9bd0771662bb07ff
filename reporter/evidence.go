package reporter

import (
	"bytes"
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/current"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/source"
)

// Evidence keeps the records of a tape on which later reports depend, as they are: sources
// and the host, all steps of the clock, the last walk of /proc, of each flow the first
// message and the last ones, and the valid answers. With them a core of any version and
// rules that cannot read a state comes close to it.
type Evidence struct {
	header    *capture.Header
	source    map[uint32]capture.Record // the last of each
	gap       map[uint32]capture.Record // the last of each, since its last whole dump or walk
	dump      map[uint32]capture.Record // begin of the dump that goes on
	hosts     []capture.Record          // the last ones: which addresses are gone takes two
	clock     []capture.Record
	flows     map[evidenceKey]*flowEvidence
	destroyed []*flowEvidence // flows that the kernel no longer has, in order
	lastTick  uint64          // record of the last tick
	walk      walkEvidence
	forward   validAnswers
	reverse   validAnswers

	message ctmsg.Message // reused from record to record
	packet  dnsmsg.Packet
	dns     dnsmsg.Message
	answers []dnsmsg.Answer
}

// NewEvidence returns the evidence of a tape with that header.
func NewEvidence(h *capture.Header) *Evidence {
	return &Evidence{header: h, source: map[uint32]capture.Record{}, gap: map[uint32]capture.Record{}, dump: map[uint32]capture.Record{},
		flows: map[evidenceKey]*flowEvidence{}, forward: validAnswers{byKey: map[answerKey]*validAnswer{}}, reverse: validAnswers{byKey: map[answerKey]*validAnswer{}}}
}

// Add adds the next record. It keeps a copy of its payload.
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
		setLast(e.dump, r)
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
			e.reverse.add([]answerKey{{name: p.Addr}}, r, r.At+max(cmp.Or(p.TTL, current.ReverseTTL), current.MinTTL))
		}
	case capture.KindSource:
		setLast(e.source, r)
	case capture.KindGap:
		setLast(e.gap, r)
	case capture.KindHost:
		if len(e.hosts) == maxHosts {
			e.hosts = slices.Delete(e.hosts, 0, 1)
		}
		e.hosts = append(e.hosts, copyRecord(r))
	case capture.KindClock:
		e.clock = append(e.clock, copyRecord(r))
	case capture.KindTick:
		e.lastTick = r.Seq
		e.forget()
	}
}

// An evidenceKey identifies a flow.
type evidenceKey struct {
	orig   ctmsg.Tuple
	id     uint32
	source uint32
	zone   uint16
}

func copyRecord(r *capture.Record) capture.Record {
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
func setLast(by map[uint32]capture.Record, r *capture.Record) {
	if _, known := by[r.Source]; known || len(by) < source.Max {
		by[r.Source] = copyRecord(r)
	}
}

// Records returns the records that are kept and still valid at a time, in the order of
// the tape. They are valid until the next Add.
func (e *Evidence) Records(at int64) []capture.Record {
	out := slices.Concat(e.clock, e.hosts)
	for _, by := range [...]map[uint32]capture.Record{e.source, e.gap, e.dump} {
		out = slices.AppendSeq(out, maps.Values(by)) // sorted below
	}
	for _, f := range e.flows { // sorted below
		if f.ended == 0 || e.stillNeeded(f.ended) {
			out = f.appendTo(out)
		}
	}
	for _, f := range e.destroyed {
		out = f.appendTo(out)
	}
	out = e.walk.appendTo(out)
	out = e.reverse.appendTo(e.forward.appendTo(out, at), at)
	slices.SortFunc(out, func(a, b capture.Record) int { return cmp.Compare(a.Seq, b.Seq) })
	return slices.CompactFunc(out, func(a, b capture.Record) bool { return a.Seq == b.Seq })
}

const maxHosts = 16

// flowEvidence is a flow's first message and its last, which may be one, and the last one
// that showed a state if the last message does not.
type flowEvidence struct {
	key                    evidenceKey
	first, lastState, last capture.Record
	lastHasState           bool   // last shows a state
	ended                  uint64 // record that showed the flow's end, 0 if it is open
}

func (f *flowEvidence) begin(key *evidenceKey, r *capture.Record, m *ctmsg.Message) {
	f.key, f.ended, f.lastHasState, f.lastState.Seq = *key, 0, false, 0
	copyInto(&f.first, r)
	f.add(r, m)
}

func (f *flowEvidence) add(r *capture.Record, m *ctmsg.Message) {
	switch {
	case m.HasState:
		f.lastState.Seq, f.ended = 0, 0
		if m.State == ctmsg.TimeWait || m.State == ctmsg.Close {
			f.ended = r.Seq
		}
	case f.lastHasState:
		f.lastState, f.last = f.last, f.lastState
	}
	f.lastHasState = m.HasState
	copyInto(&f.last, r)
}

// keepIn keeps a record in the memory of another one.
func copyInto(to, r *capture.Record) {
	room := to.Payload
	*to = *r
	to.Payload = append(room[:0], r.Payload...)
}

func (f *flowEvidence) appendTo(out []capture.Record) []capture.Record {
	if f.lastState.Seq != 0 {
		out = append(out, f.lastState)
	}
	return append(out, f.first, f.last)
}

func (e *Evidence) conntrack(r *capture.Record) {
	m := &e.message
	if m.Decode(r.Payload, e.header.BigEndian) != nil || m.Orig.Proto != dnsmsg.TCP {
		return
	}
	key := evidenceKey{orig: m.Orig, id: m.ID, source: r.Source, zone: m.Zone}
	f := e.flows[key]
	switch {
	case f == nil:
		f = new(flowEvidence)
		e.flows[key] = f
		f.begin(&key, r, m)
	case m.Type == ctmsg.New && r.Kind == capture.KindConntrack:
		f.begin(&key, r, m)
	default:
		f.add(r, m)
	}
	if m.Type == ctmsg.Destroy && r.Kind == capture.KindConntrack {
		delete(e.flows, key)
		e.destroyed = append(e.destroyed, f)
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

// needs reports whether the end of a flow is not reported yet, or a row can contradict it.
func (e *Evidence) stillNeeded(end uint64) bool {
	return end > e.lastTick || e.walk.wholeSeq > 0 && end > e.walk.wholeSeq
}

// maxGone bounds the flows that are kept for a walk that does not end.
const maxDestroyed = 1 << 16

// forget drops the flows that were reported as closed, once a walk that began
// after their end has finished: until then a row may show them.
func (e *Evidence) forget() {
	i := 0
	for ; i < len(e.destroyed); i++ {
		if len(e.destroyed)-i <= maxDestroyed && e.stillNeeded(e.destroyed[i].last.Seq) {
			break
		}
	}
	e.destroyed = slices.Delete(e.destroyed, 0, i)
}

// dnsPacket keeps a packet as long as an answer in it is valid.
func (e *Evidence) dnsPacket(r *capture.Record) {
	var p capture.DNS
	if r.Decode(&p) != nil || e.packet.Decode(p.Packet) != nil || e.packet.IsFragment() || e.packet.Proto == dnsmsg.TCP ||
		e.dns.Decode(e.packet.Payload) != nil {
		return
	}
	e.answers = e.dns.Answers(e.answers[:0])
	keys, ttl := make([]answerKey, 0, len(e.answers)), int64(current.MinTTL)
	for i := range e.answers {
		a := &e.answers[i]
		keys = append(keys, answerKey{a.Addr, a.Name})
		ttl = max(ttl, int64(a.TTL)*1e9)
	}
	e.forward.add(keys, r, r.At+ttl)
}

type answerKey struct {
	addr netip.Addr
	name string
}

// A validAnswer is a record with an answer that no later record repeats.
type validAnswer struct {
	capture.Record
	expires int64
}

// validAnswers are the last ones, by what they answer.
type validAnswers struct {
	byKey   map[answerKey]*validAnswer
	sweepAt int // when the map has that many
	bytes   int // of records that were added since
}

const (
	maxAnswers     = 1 << 18
	maxAnswerBytes = 256 << 20
)

func (a *validAnswers) add(keys []answerKey, r *capture.Record, expires int64) {
	if len(keys) == 0 {
		return
	}
	x := &validAnswer{copyRecord(r), expires}
	for _, k := range keys {
		a.byKey[k] = x
	}
	if a.bytes += len(r.Payload); len(a.byKey) < a.sweepAt && a.bytes < maxAnswerBytes {
		return
	}
	maps.DeleteFunc(a.byKey, func(_ answerKey, x *validAnswer) bool { return x.expires <= r.At })
	a.bytes = 0
	for _, x := range a.byKey { // order cannot matter: a sum
		a.bytes += len(x.Payload)
	}
	if len(a.byKey) > maxAnswers || a.bytes > maxAnswerBytes/2 {
		clear(a.byKey)
		a.bytes = 0
	}
	a.sweepAt = 2*len(a.byKey) + 1024
}

// appendTo appends the records that are valid at a time; the caller sorts them.
func (a *validAnswers) appendTo(out []capture.Record, at int64) []capture.Record {
	for _, x := range a.byKey { // sorted below, in Records
		if x.expires > at {
			out = append(out, x.Record)
		}
	}
	return out
}
