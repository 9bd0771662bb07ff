package pcapng

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/topotape/topotape/capture"
)

// netlinkNetfilter is the netlink family of conntrack messages.
const netlinkNetfilter = 12

// A Printer writes those records of tapes that are packets, DNS packets and
// conntrack messages, as pcapng. Each tape is a section.
//
// Of a tape, Header is called first, then Observe for each record and Record for
// each one to be written. Close ends the file.
type Printer struct {
	out  io.Writer
	tool string
	tape
	leftOut      map[string]uint64 // records by kind
	leftOutKinds []string          // in the order of their first records
	scratch      []byte
}

// tape is the state of the tape that is being written.
type tape struct {
	header  *capture.Header
	section *writer // nil until the tape's first block
	host    capture.Host
	sources map[uint32]capture.Source
	ports   map[portKey]*port
	order   []*port              // by number
	dumps   map[uint32]dumpState // by source
	at      int64                // of the last record, ns since the start
	steps   int64                // sum of all steps of the wall clock, ns
	notes   []string             // comments of the next block
	noted   int                  // bytes of notes, at most maxNotes
}

// Bounds of what is kept of a tape. What is beyond them is left out.
const (
	maxNotes   = 1 << 20  // bytes
	maxPorts   = 64 << 10 // interfaces of a section, and sources with a dump
	maxSources = 1 << 10
)

// portKey is a source and, for packets, the interface that they passed.
type portKey struct{ source, index uint32 }

// port is an interface of the section.
type port struct {
	number  uint32
	packets uint64
	dropped uint64
}

// NewPrinter returns a Printer that writes to w. The sections name the version of
// the tool.
func NewPrinter(w io.Writer, tool string) *Printer {
	return &Printer{out: w, tool: tool, leftOut: map[string]uint64{}}
}

// Header ends the tape before and begins the next one.
func (p *Printer) Header(h *capture.Header) error {
	if err := p.Close(); err != nil {
		return err
	}
	p.tape = tape{header: h, sources: map[uint32]capture.Source{}, ports: map[portKey]*port{},
		dumps: map[uint32]dumpState{}, notes: p.notes, noted: p.noted}
	return nil
}

// Observe takes from a record what later blocks depend on: the host's interfaces,
// the sources, the time and the steps of the wall clock.
func (p *Printer) Observe(r *capture.Record) {
	p.at = r.At
	switch r.Kind {
	case capture.KindHost:
		var h capture.Host
		if r.Decode(&h) == nil {
			p.host = h
		}
	case capture.KindSource:
		var s capture.Source
		if _, known := p.sources[r.Source]; r.Decode(&s) == nil && s.Open && (known || len(p.sources) < maxSources) {
			p.sources[r.Source] = s
		}
	case capture.KindClock:
		var c capture.Clock
		if r.Decode(&c) == nil {
			p.steps += c.Step
		}
	}
}

// Record writes the record's block, or counts the record if it is no packet.
func (p *Printer) Record(r *capture.Record) error {
	switch r.Kind {
	case capture.KindConntrack:
		return p.netlink(r.Source, netlinkToUs, r.Payload)
	case capture.KindDumpEntry:
		p.dumpEntry(r)
		return p.netlink(r.Source, netlinkToUs, r.Payload)
	case capture.KindDumpBegin:
		return p.dumpBegin(r.Source)
	case capture.KindDumpEnd:
		var d capture.ConntrackDump
		if r.Decode(&d) != nil {
			p.leaveOut(r.Kind.String())
			return nil
		}
		return p.dumpEnd(r.Source, d.Failed)
	case capture.KindDNS:
		var d capture.DNS
		if r.Decode(&d) != nil {
			p.leaveOut(r.Kind.String())
			return nil
		}
		direction := [...]uint32{0, inbound, outbound}[min(d.Direction, 2)]
		return p.packet(portKey{r.Source, d.Interface}, capture.SourceDNS, packetInfo{Data: d.Packet, Length: d.Length, Direction: direction})
	case capture.KindMark:
		var m capture.Mark
		if r.Decode(&m) != nil || p.noted+len(m.Text) > maxNotes {
			p.leaveOut(r.Kind.String())
			return nil
		}
		p.noted += len(m.Text) + 32
		p.notes = append(p.notes, "mark: "+m.Text)
	case capture.KindGap:
		return p.gap(r)
	case capture.KindSource, capture.KindHost, capture.KindClock, capture.KindEnd:
		// The section's header, the interfaces and the times show them.
	default:
		p.leaveOut(r.Kind.String())
	}
	return nil
}

func (p *Printer) leaveOut(kind string) {
	if p.leftOut[kind] == 0 {
		p.leftOutKinds = append(p.leftOutKinds, kind)
	}
	p.leftOut[kind]++
}

// LeftOut returns how many records of each kind were left out because they are no
// packets, "" for none.
func (p *Printer) LeftOut() string {
	var parts []string
	for _, kind := range p.leftOutKinds {
		parts = append(parts, fmt.Sprintf("%d %s", p.leftOut[kind], kind))
	}
	return strings.Join(parts, ", ")
}

// wall returns the wall-clock time of the last record, Unix ns.
func (p *Printer) wall() int64 { return p.header.Start + p.at + p.steps }

func (p *Printer) packet(key portKey, kind string, packet packetInfo) error {
	at, err := p.port(key, kind)
	if at == nil || err != nil {
		return err
	}
	packet.Time, packet.Comments = p.wall(), p.notes
	p.notes, p.noted = nil, 0
	at.packets++
	return p.section.writePacket(at.number, packet)
}

// gap writes the number of packets that the source's interface has dropped so far.
func (p *Printer) gap(r *capture.Record) error {
	var g capture.Gap
	kind := cmp.Or(p.sources[r.Source].Kind, capture.UsualSource(r.Source))
	if r.Decode(&g) != nil || kind != capture.SourceConntrack && kind != capture.SourceDNS {
		if !slices.Contains(capture.UsualSources(), kind) {
			kind = "an unknown source"
		}
		p.leaveOut("gap of " + kind)
		return nil
	}
	at, err := p.port(portKey{r.Source, 0}, kind)
	if at == nil || err != nil {
		return err
	}
	at.dropped += g.Lost
	text := fmt.Sprintf("gap: %d lost", g.Lost)
	if !g.Exact {
		text = fmt.Sprintf("gap: about %d lost", g.Lost)
	}
	if g.Why != "" {
		text += ": " + g.Why
	}
	return p.section.writeStatistics(at.number, statisticsInfo{Time: p.wall(), Dropped: at.dropped, Comments: []string{text}})
}

// port returns the interface of a source. A new one is described in the section
// first. It returns nil, and counts a record that is left out, if there are too many.
func (p *Printer) port(key portKey, kind string) (*port, error) {
	if at := p.ports[key]; at != nil {
		return at, nil
	}
	if len(p.order) == maxPorts {
		p.leaveOut("of more interfaces than a section can have: " + kind)
		return nil, nil
	}
	if err := p.open(); err != nil {
		return nil, err
	}
	s := p.sources[key.source]
	i := interfaceInfo{Link: linkRaw, Snaplen: s.Snaplen, Name: s.Interface}
	if kind == capture.SourceConntrack {
		i.Link, i.Name = linkNetlink, kind
	}
	for _, known := range p.host.Interfaces {
		if key.index != 0 && known.Index == key.index {
			i.Name = known.Name
		}
	}
	if i.Name == "" {
		i.Name = kind
		if key.index != 0 {
			i.Name = fmt.Sprintf("interface %d", key.index)
		}
	}
	i.Description = fmt.Sprintf("%s source %d", kind, key.source)
	if s.Netns != 0 {
		i.Description += fmt.Sprintf(" of netns %d", s.Netns)
	}
	number, err := p.section.writeInterface(i)
	at := &port{number: number}
	p.ports[key], p.order = at, append(p.order, at)
	return at, err
}

// open writes the section's header unless it is written.
func (p *Printer) open() (err error) {
	if p.section != nil {
		return nil
	}
	h := p.header
	s := sectionInfo{BigEndian: h.BigEndian, Application: "topotape " + p.tool, Comments: []string{
		fmt.Sprintf("tape %x of host %q (%q), recorded from %s on by topotape %s", h.TapeID, h.HostName, h.HostID,
			time.Unix(0, h.Start).UTC().Format(time.RFC3339Nano), h.Tool)}}
	if p.host.Kernel != "" {
		s.OS = "Linux " + p.host.Kernel
	}
	if h.Note != "" {
		s.Comments = append(s.Comments, h.Note)
	}
	p.section, err = newWriter(p.out, s)
	return err
}

// Close writes the totals of the interfaces. A tape without a packet is a section
// too.
func (p *Printer) Close() error {
	if p.header == nil {
		return nil
	}
	if err := p.open(); err != nil {
		return err
	}
	for i, at := range p.order {
		s := statisticsInfo{Time: p.wall(), Received: at.packets, Dropped: at.dropped, Last: true}
		if i == len(p.order)-1 {
			s.Comments, p.notes, p.noted = p.notes, nil, 0 // marks that no packet follows
		}
		if err := p.section.writeStatistics(at.number, s); err != nil {
			return err
		}
	}
	return nil
}
