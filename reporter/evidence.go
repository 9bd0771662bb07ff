package reporter

import (
	"bytes"
	"cmp"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/packed"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/current"
	"github.com/topotape/topotape/reporter/dnsmsg"
	"github.com/topotape/topotape/reporter/source"
)

// Evidence selects the records of a tape on which later reports depend: the last records of
// sources and of the host, the last counters of each file, all steps of the clock, the last complete walk of /proc, the first
// and the last messages of each flow and of each open socket, what runs, and the DNS answers that have not expired. A tape that
// is cut from this one starts with copies of them. A core that cannot read a carry record, because its
// version or its rules differ, reads them instead and makes nearly the same reports.
type Evidence struct {
	header    *capture.Header
	source    map[uint32]capture.Record // the last of each source
	gap       map[uint32]capture.Record // the last of each since its last complete dump or walk
	dump      map[uint32]capture.Record // the begin of each unfinished dump
	packer    packed.Packer
	hosts     []packed.Record // the last ones: two of them show which addresses the host no longer has
	clock     []capture.Record
	flows     map[evidenceKey]*flowEvidence
	destroyed []*flowEvidence // flows that the kernel no longer has, in the order of their DESTROY
	lastTick  uint64          // number of the record of the last tick
	walk      walkEvidence
	counters  counterEvidence
	events    eventEvidence
	forward   validAnswers
	reverse   validAnswers

	message ctmsg.Message // reused from record to record
	packet  dnsmsg.Packet
	dns     dnsmsg.Message
	answers []dnsmsg.Answer
}

// NewEvidence returns the Evidence for a tape with this header.
func NewEvidence(h *capture.Header) *Evidence {
	return &Evidence{header: h, events: newEventEvidence(), source: map[uint32]capture.Record{}, gap: map[uint32]capture.Record{}, dump: map[uint32]capture.Record{},
		flows: map[evidenceKey]*flowEvidence{}, forward: validAnswers{byKey: map[answerKey]*validAnswer{}}, reverse: validAnswers{byKey: map[answerKey]*validAnswer{}}}
}

// Add adds the next record of the tape. It copies the payload if it keeps the record.
func (e *Evidence) Add(r *capture.Record) {
	switch size := len(r.Payload); r.Kind {
	case capture.KindConntrack, capture.KindDumpEntry, capture.KindClock, capture.KindStall:
		if size > maxMessage {
			return
		}
	case capture.KindDumpBegin, capture.KindSource, capture.KindGap:
		if size > maxOfSource {
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
	case capture.KindWalkBegin, capture.KindWalkEnd, capture.KindProcNet, capture.KindSocketTable, capture.KindProcSockets, capture.KindProcUnchanged:
		if complete := e.walk.add(r, &e.packer); complete {
			delete(e.gap, r.Source)
			e.counters.walked(e.walk.completeSeq)
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
		if s := e.source[r.Source]; e.isEvents(&s, r.Source) {
			e.events.lost()
		}
	case capture.KindSocketFormat, capture.KindProcesses, capture.KindSocketEvent, capture.KindProcessEvent:
		e.events.add(r, e.header.BigEndian)
	case capture.KindHost:
		if r.Decode(new(capture.Host)) != nil {
			return
		}
		if len(e.hosts) == maxHosts {
			e.hosts = slices.Delete(e.hosts, 0, 1)
		}
		e.hosts = append(e.hosts, e.packer.PackRecord(r))
	case capture.KindCounters, capture.KindStall:
		e.counters.add(r)
	case capture.KindClock:
		if len(e.clock) < maxClocks {
			e.clock = append(e.clock, copyRecord(r))
		}
	case capture.KindTick:
		e.lastTick = r.Seq
		e.forget()
	}
}

// isEvents reports whether a source, whose last record may be missing, is that of socket events.
func (e *Evidence) isEvents(last *capture.Record, number uint32) bool {
	var p capture.Source
	if last.Seq == 0 || last.Decode(&p) != nil || p.Kind == "" {
		return capture.UsualSource(number) == capture.SourceSockets
	}
	return p.Kind == capture.SourceSockets
}

// An evidenceKey identifies a flow.
type evidenceKey struct {
	orig   ctmsg.Tuple
	id     uint32
	source uint32
	zone   uint16
}

// copyRecord returns a record with a payload of its own.
func copyRecord(r *capture.Record) capture.Record {
	k := *r
	k.Payload = bytes.Clone(r.Payload)
	return k
}

// Larger records are ignored: the kernel sends no messages or packets of this size, in bytes.
const (
	maxMessage  = 1 << 10
	maxPacket   = 68 << 10
	maxOfSource = 8 << 10 // of records about a source
)

// setLast makes a record the last one of its source.
func setLast(bySource map[uint32]capture.Record, r *capture.Record) {
	if _, known := bySource[r.Source]; known || len(bySource) < source.Max {
		bySource[r.Source] = copyRecord(r)
	}
}

// Records returns the selected records, in the order of the tape, without the answers that
// have expired at a time. The payload of a record may change with the next one.
func (e *Evidence) Records(at int64) iter.Seq[capture.Record] {
	out := e.walk.appendTo(slices.Clone(e.hosts))
	for _, r := range e.small(at) {
		out = append(out, packed.Unpacked(r))
	}
	slices.SortFunc(out, func(a, b packed.Record) int { return cmp.Compare(a.Seq, b.Seq) })
	return func(yield func(capture.Record) bool) {
		last := uint64(0)
		for i := range out {
			if out[i].Seq != last && !yield(e.packer.Unpack(&out[i])) {
				return
			}
			last = out[i].Seq
		}
	}
}

// small returns the records that are not packed, in any order.
func (e *Evidence) small(at int64) []capture.Record {
	out := slices.Clone(e.clock)
	for _, bySource := range [...]map[uint32]capture.Record{e.source, e.gap, e.dump} {
		out = slices.AppendSeq(out, maps.Values(bySource)) // sorted in Records
	}
	for _, f := range e.flows { // sorted below, in Records
		if f.ended == 0 || e.stillNeeded(f.ended) {
			out = f.appendTo(out)
		}
	}
	for _, f := range e.destroyed {
		out = f.appendTo(out)
	}
	return e.reverse.appendTo(e.forward.appendTo(e.events.appendTo(e.counters.appendTo(out)), at), at)
}

// Maxima of the last host records and of the steps of the clock.
const (
	maxHosts  = 16
	maxClocks = 64 << 10
)

// A flowEvidence is a flow's first message and its last one, which may be the same. If the
// last message shows no state, the last one that did is kept too.
type flowEvidence struct {
	key                    evidenceKey
	first, lastState, last capture.Record
	lastHasState           bool   // last shows a state
	ended                  uint64 // number of the record that showed the flow's end, 0 if it is open
}

// begin starts a flow with its first message.
func (f *flowEvidence) begin(key *evidenceKey, r *capture.Record, m *ctmsg.Message) {
	f.key, f.ended, f.lastHasState, f.lastState.Seq = *key, 0, false, 0
	copyInto(&f.first, r)
	f.add(r, m)
}

// add adds a later message.
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

// copyInto copies a record and reuses the memory of the target's payload.
func copyInto(to, r *capture.Record) {
	payload := append(to.Payload[:0], r.Payload...)
	*to = *r
	to.Payload = payload
}

func (f *flowEvidence) appendTo(out []capture.Record) []capture.Record {
	if f.lastState.Seq != 0 {
		out = append(out, f.lastState)
	}
	return append(out, f.first, f.last)
}

// conntrack adds a message to its flow.
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

// dumpEnd drops the flows that a complete dump lacks.
func (e *Evidence) dumpEnd(r *capture.Record) {
	begin, dumping := e.dump[r.Source]
	delete(e.dump, r.Source)
	var p capture.ConntrackDump
	if r.Decode(&p) != nil || !dumping || p.Failed != "" || e.gap[r.Source].Seq > begin.Seq {
		return
	}
	delete(e.gap, r.Source)
	for key, f := range e.flows { // the order cannot matter: some keys are deleted
		if key.source == r.Source && f.last.Seq < begin.Seq {
			delete(e.flows, key)
		}
	}
}

// stillNeeded reports whether a later report depends on the end of a flow: no report has
// shown the end, or no complete walk of /proc began after it, so that a row may show the flow
// as open.
func (e *Evidence) stillNeeded(end uint64) bool {
	return end > e.lastTick || e.walk.completeSeq > 0 && end > e.walk.completeSeq
}

// maxDestroyed bounds the destroyed flows that wait for a complete walk.
const maxDestroyed = 1 << 16

// forget drops the destroyed flows that no later report depends on.
func (e *Evidence) forget() {
	i := 0
	for ; i < len(e.destroyed); i++ {
		if len(e.destroyed)-i <= maxDestroyed && e.stillNeeded(e.destroyed[i].last.Seq) {
			break
		}
	}
	e.destroyed = slices.Delete(e.destroyed, 0, i)
}

// dnsPacket adds a packet, which is kept until its last answer expires.
func (e *Evidence) dnsPacket(r *capture.Record) {
	var p capture.DNS
	if r.Decode(&p) != nil {
		return
	}
	decode := e.dns.Decode
	switch err := e.packet.Decode(p.Packet); {
	case err == dnsmsg.ErrTruncated:
		decode = e.dns.DecodeCut
	case err != nil:
		return
	}
	if e.packet.IsFragment() || e.packet.Proto != dnsmsg.UDP || decode(e.packet.Payload) != nil {
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

// An answerKey is what an answer says: a name of an address.
type answerKey struct {
	addr netip.Addr
	name string
}

// A validAnswer is a record with an answer, and when the answer expires.
type validAnswer struct {
	capture.Record
	expires int64
}

// validAnswers are the last records of all answers.
type validAnswers struct {
	byKey   map[answerKey]*validAnswer
	sweepAt int // the number of keys at which expired answers are removed
	bytes   int // of the added records; replaced ones count until expired ones are removed
}

const (
	maxAnswers     = 128 << 10
	maxAnswerBytes = 32 << 20
)

// add adds a record. When there are many, it removes the expired ones, and all if too many
// are left.
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
	for _, x := range a.byKey { // the order cannot matter: a sum
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
