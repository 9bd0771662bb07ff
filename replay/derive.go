package replay

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"strings"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter"
)

// deriveHeader is the header of a tape that a verb makes of others: the first
// parent's, with an id that follows from what it is made of. The records' numbers
// stay those of a recording, for which a built tape counts too.
func deriveHeader(of *capture.Header, d capture.Derived, tool string) *capture.Header {
	h := *of
	h.Recording = originOf(of)
	h.Minor, h.Tool, h.Core, h.Derived = capture.Minor, tool, reporter.CoreVersion, d
	sum := sha256.New()
	add := func(b []byte) {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		sum.Write(b)
	}
	add([]byte(tool))
	add([]byte(d.Verb))
	for _, a := range d.Args {
		add([]byte(a))
	}
	for _, p := range append([]capture.Parent{{TapeID: d.Parent, SHA256: d.SHA256}}, d.Others...) {
		add(p.TapeID[:])
		add(p.SHA256[:])
	}
	copy(h.TapeID[:], sum.Sum(nil))
	return &h
}

// originOf names the recording that the numbers of a tape's records are of.
func originOf(h *capture.Header) [16]byte {
	if h.Recording == [16]byte{} {
		return h.TapeID
	}
	return h.Recording
}

// continues reports whether a tape is the next segment of the recording that
// the one before it is of.
func continues(before, h *capture.Header) bool {
	return before != nil && h.Recording != [16]byte{} && h.Recording == before.Recording && h.Segment == before.Segment+1
}

// ends are how the ends begin that verbs put where none was.
const (
	endOfCut     = "cut"
	endOfRecover = "recovered: "
	endOfMerge   = "merged: "
)

// madeEnd reports whether a verb put the end there, under the number of a record
// that may stand on another tape.
func madeEnd(h *capture.Header, r *capture.Record) bool {
	var e capture.End
	if r.Kind != capture.KindEnd || h.Derived.Verb == "" || r.Decode(&e) != nil {
		return false
	}
	return strings.HasPrefix(e.Why, endOfCut) || strings.HasPrefix(e.Why, endOfRecover) || strings.HasPrefix(e.Why, endOfMerge)
}

// A deriver writes a tape that is made of others, record by record, and makes
// its witnesses anew: what this core says of the tick before, under the rules
// that production had by default. The core may be shown more than is written.
type deriver struct {
	out    *capture.Writer
	core   core // nil once it panicked
	number uint64
	digest *capture.Digests // of the report at the tick of that number
	// lossy says that records are missing before: witnesses of the parents can
	// not be compared any more.
	lossy   bool
	content *content // nil if nobody reads back what is written
	// Witnesses of the parents that this core's version made, and those of them
	// that differ from what it makes now.
	witnesses, differ uint64
}

func newDeriver(out io.Writer, h *capture.Header) (*deriver, error) {
	w, err := capture.NewWriter(out, h)
	if err != nil {
		return nil, err
	}
	core, err := reporter.New(h, reporter.RulesCurrent)
	written := newContent()
	return &deriver{out: w, core: core, content: &written}, err
}

// step shows the core a record.
func (d *deriver) step(r *capture.Record) {
	if d.core == nil {
		return
	}
	tick, panicked := step(d.core, r)
	if panicked == nil && tick {
		d.digest = nil
		var t capture.Tick
		if r.Decode(&t) != nil {
			return
		}
		var report *reporter.Report
		if report, panicked = makeReport(d.core); panicked == nil {
			digests := report.Digests()
			d.number, d.digest = t.Number, &digests
		}
	}
	if panicked != nil {
		d.core, d.digest = nil, nil
	}
}

// write writes a record that the core was shown. A witness is replaced, under
// its number. One of other rules stays, one that this core cannot make, and one
// that differs from what the same version makes now: that is evidence. Where
// records are missing before it is none, and what this core cannot replace goes.
func (d *deriver) write(r *capture.Record) error {
	if r.Kind != capture.KindWitness || d.digest == nil {
		return d.put(r)
	}
	var w capture.Witness
	if r.Decode(&w) != nil || w.Tick != d.number {
		return d.put(r)
	}
	if w.Rules != reporter.RulesCurrent {
		if d.lossy {
			return nil
		}
		return d.put(r)
	}
	if w.Core == reporter.CoreVersion && !d.lossy {
		d.witnesses++
		if w.Digests != *d.digest {
			d.differ++
			return d.put(r)
		}
	}
	w.Core, w.Digests = reporter.CoreVersion, *d.digest
	fresh := *r
	fresh.Payload = capture.AppendPayload(nil, &w)
	return d.put(&fresh)
}

// put writes a record as it is.
func (d *deriver) put(r *capture.Record) error {
	if d.content != nil {
		d.content.add(r)
	}
	return d.out.Write(r)
}

// add makes a record of the verb's own.
func (d *deriver) add(r capture.Record, p capture.Payload) error {
	r.Payload = capture.AppendPayload(nil, p)
	d.step(&r)
	return d.put(&r)
}
