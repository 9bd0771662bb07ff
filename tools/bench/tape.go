//go:build linux

package main

import (
	"fmt"
	"io"
	"math/bits"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/tools/netlab"
)

// tapeInterval is the time between the ticks of a built tape.
const tapeInterval = int64(3 * time.Second)

// recordBurst records real connections, from their first message to their last.
func (b *bench) recordBurst(path string) (err error) {
	if err := b.flush(); err != nil {
		return err
	}
	p, err := b.start(conntracks, path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.kill()
		}
	}()
	if err := p.ready(); err != nil {
		return err
	}
	if _, err := b.lab.Load(b.ctx, netlab.LoadOptions{Count: b.plan.tape}); err != nil {
		return err
	}
	if err := b.flush(); err != nil { // ends all connections
		return err
	}
	if err := p.drained(); err != nil {
		return err
	}
	_, err = p.stop()
	return err
}

// multiply writes a tape of at least so many records, or so many bytes. It repeats the
// events of a recorded tape with later times, other addresses and other ids, and adds ticks
// and witnesses as the recorder does.
func multiply(from, to string, records int, size int64) (made int, err error) {
	h, events, err := readEvents(from)
	if err != nil {
		return 0, err
	}
	out, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	w, err := newTapeWriter(out, h)
	if err != nil {
		return 0, err
	}
	length := events[len(events)-1].At + int64(time.Millisecond)
	for copies := 0; int(w.seq) < records || w.tape.Size() < size; copies++ {
		if copies > maxCopies {
			return 0, fmt.Errorf("%d events are not enough", len(events))
		}
		for _, r := range events {
			r.At += int64(copies) * length
			if r.Payload, err = shift(r.Payload, uint16(copies), h.BigEndian); err != nil {
				return 0, fmt.Errorf("record %d of %s: %w", r.Seq, filepath.Base(from), err)
			}
			w.put(r)
		}
	}
	return int(w.seq), w.close()
}

// readEvents returns the conntrack messages of a tape. The first one has time 0.
func readEvents(path string) (*capture.Header, []capture.Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	tape, err := tape.NewReader(f)
	if err != nil {
		return nil, nil, err
	}
	var events []capture.Record
	for {
		r, err := tape.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, nil, err
		}
		if r.Kind == capture.KindConntrack {
			r.Payload = slices.Clone(r.Payload)
			events = append(events, r)
		}
	}
	if len(events) == 0 {
		return nil, nil, fmt.Errorf("%s has no conntrack events", filepath.Base(path))
	}
	begin := events[0].At
	for i := range events {
		events[i].At -= begin
	}
	return tape.Header(), events, nil
}

// tapeWriter writes a tape as the recorder does: each record steps a core, and a witness
// follows each tick.
type tapeWriter struct {
	tape *tape.Writer
	core *reporter.Reporter
	seq  uint64
	tick uint64
	at   int64
	err  error
}

func newTapeWriter(out io.Writer, h *capture.Header) (*tapeWriter, error) {
	core, err := reporter.New(h, reporter.RulesCurrent)
	if err != nil {
		return nil, err
	}
	tape, err := tape.NewWriter(out, h)
	w := &tapeWriter{tape: tape, core: core}
	w.payload(capture.KindSource, 1, &capture.Source{Open: true, Kind: capture.SourceConntrack})
	return w, err
}

// put adds the ticks that are due, and then a record.
func (w *tapeWriter) put(r capture.Record) {
	for next := int64(w.tick+1) * tapeInterval; r.At >= next; next += tapeInterval {
		w.at = next
		w.putTick()
	}
	w.at = r.At
	w.add(r.Kind, 1, r.Payload)
}

// putTick adds a tick and its witness.
func (w *tapeWriter) putTick() {
	w.tick++
	if w.payload(capture.KindTick, 0, &capture.Tick{Number: w.tick, Interval: tapeInterval}) {
		w.payload(capture.KindWitness, 0, &capture.Witness{Tick: w.tick, Rules: reporter.RulesCurrent,
			Core: reporter.CoreVersion, Digests: w.core.Report().Digests()})
	}
}

func (w *tapeWriter) payload(kind capture.Kind, source uint32, p capture.Payload) bool {
	return w.add(kind, source, capture.AppendPayload(nil, p))
}

func (w *tapeWriter) add(kind capture.Kind, source uint32, payload []byte) (tick bool) {
	if w.err != nil {
		return false
	}
	w.seq++
	r := capture.Record{Seq: w.seq, At: w.at, Kind: kind, Source: source, Payload: payload}
	if w.err = w.tape.Write(&r); w.err != nil {
		return false
	}
	return w.core.Step(&r)
}

func (w *tapeWriter) close() error {
	w.putTick()
	w.payload(capture.KindEnd, 0, &capture.End{Why: "built"})
	if w.err != nil {
		return w.err
	}
	return w.tape.Close()
}

// maxCopies is the number of networks of shift.
const maxCopies = 40 * 200

// shift makes an event of another connection: it moves every address in the client's
// network, 198.18.0.0/24, to network n, which is less than maxCopies, and changes the id.
func shift(event []byte, n uint16, bigEndian bool) ([]byte, error) {
	var m ctmsg.Message
	if err := m.Decode(event, bigEndian); err != nil {
		return nil, err
	}
	m.ID ^= uint32(bits.ReverseBytes16(n)) << 16
	for _, ip := range []*ctmsg.IP{&m.Orig.SrcIP, &m.Orig.DstIP, &m.Reply.SrcIP, &m.Reply.DstIP} {
		if !ip.Is4() {
			continue
		}
		if a := ip.Addr().As4(); a[2] == 0 {
			a[1], a[2] = a[1]+byte(n/200), byte(n%200)+10
			*ip = ctmsg.IPOf(netip.AddrFrom4(a))
		}
	}
	return m.Append(nil, bigEndian), nil
}
