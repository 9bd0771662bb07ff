package pcapng

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/topotape/topotape/capture"
)

// netlinkNetfilter is the netlink family of conntrack messages.
const netlinkNetfilter = 12

// Printer writes the records that are packets as pcapng: DNS packets and
// conntrack messages. A tape is a section.
type Printer struct {
	Tool     string // version of the tool that writes
	Out      io.Writer
	header   *capture.Header
	section  *Writer // nil until the tape's first block
	host     capture.Host
	sources  map[uint32]capture.Source
	ports    map[portKey]*port
	order    []*port              // as they were numbered
	dumps    map[uint32]dumpState // by source
	steps    int64                // of the wall clock, together
	at       int64                // of the last record
	notes    []string
	scratch  []byte
	leftOut  map[string]uint64
	leftKind []string
}

// portKey is a source and, of packets, the interface that they passed.
type portKey struct{ source, index uint32 }

// port is an interface of the section.
type port struct {
	number  uint32
	packets uint64
	dropped uint64
}

// Begin goes on to the next tape.
func (p *Printer) Begin(h *capture.Header) error {
	if err := p.End(); err != nil {
		return err
	}
	p.header, p.section, p.host, p.steps = h, nil, capture.Host{}, 0
	p.sources, p.ports, p.order = map[uint32]capture.Source{}, map[portKey]*port{}, nil
	p.dumps = map[uint32]dumpState{}
	return nil
}

// See takes in what the blocks need to know of a record, printed or not.
func (p *Printer) See(r *capture.Record) {
	p.at = r.At
	switch r.Kind {
	case capture.KindHost:
		var h capture.Host
		if r.Decode(&h) == nil {
			p.host = h
		}
	case capture.KindSource:
		var s capture.Source
		if r.Decode(&s) == nil && s.Open {
			p.sources[r.Source] = s
		}
	case capture.KindClock:
		var c capture.Clock
		if r.Decode(&c) == nil {
			p.steps += c.Step
		}
	}
}

// Record writes the record's block.
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
			p.leave(r.Kind.String())
			return nil
		}
		return p.dumpEnd(r.Source, d.Failed)
	case capture.KindDNS:
		var d capture.DNS
		if r.Decode(&d) != nil {
			p.leave(r.Kind.String())
			return nil
		}
		direction := [...]uint32{0, Inbound, Outbound}[min(d.Direction, 2)]
		return p.packet(portKey{r.Source, d.Interface}, capture.SourceDNS, Packet{Data: d.Packet, Length: d.Length, Direction: direction})
	case capture.KindMark:
		var m capture.Mark
		if r.Decode(&m) == nil {
			p.notes = append(p.notes, "mark: "+m.Text)
		}
	case capture.KindGap:
		return p.gap(r)
	case capture.KindSource, capture.KindHost, capture.KindClock, capture.KindEnd:
		// They are in the section's header, the interfaces and the times.
	default:
		p.leave(r.Kind.String())
	}
	return nil
}

func (p *Printer) leave(kind string) {
	if p.leftOut == nil {
		p.leftOut = map[string]uint64{}
	}
	if p.leftOut[kind] == 0 {
		p.leftKind = append(p.leftKind, kind)
	}
	p.leftOut[kind]++
}

// Left says which records have no place among packets, "" for none.
func (p *Printer) Left() string {
	var parts []string
	for _, kind := range p.leftKind {
		parts = append(parts, fmt.Sprintf("%d %s", p.leftOut[kind], kind))
	}
	return strings.Join(parts, ", ")
}

func (p *Printer) wall() int64 { return p.header.Start + p.at + p.steps }

func (p *Printer) packet(key portKey, kind string, packet Packet) error {
	at, err := p.port(key, kind)
	if err != nil {
		return err
	}
	packet.Time, packet.Comments = p.wall(), p.notes
	p.notes = nil
	at.packets++
	return p.section.Packet(at.number, packet)
}

// gap writes how many the source's interface has dropped so far.
func (p *Printer) gap(r *capture.Record) error {
	var g capture.Gap
	kind := cmp.Or(p.sources[r.Source].Kind, p.usual(r.Source))
	if r.Decode(&g) != nil || kind != capture.SourceConntrack && kind != capture.SourceDNS {
		p.leave("gap of " + cmp.Or(kind, "an unknown source"))
		return nil
	}
	at, err := p.port(portKey{r.Source, 0}, kind)
	if err != nil {
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
	return p.section.Statistics(at.number, Statistics{Time: p.wall(), Dropped: &at.dropped, Comments: []string{text}})
}

// usual is the kind of a source that no record opens.
func (p *Printer) usual(number uint32) string {
	if number == 1 {
		return capture.SourceConntrack
	}
	if number == 3 {
		return capture.SourceDNS
	}
	return ""
}

// port finds the interface, and describes it before its first block.
func (p *Printer) port(key portKey, kind string) (*port, error) {
	if at := p.ports[key]; at != nil {
		return at, nil
	}
	if err := p.open(); err != nil {
		return nil, err
	}
	s := p.sources[key.source]
	i := Interface{Link: LinkRaw, Snaplen: s.Snaplen, Name: s.Interface}
	if kind == capture.SourceConntrack {
		i.Link, i.Name = LinkNetlink, kind
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
	number, err := p.section.Interface(i)
	at := &port{number: number}
	p.ports[key], p.order = at, append(p.order, at)
	return at, err
}

// open writes the section's header before its first block.
func (p *Printer) open() (err error) {
	if p.section != nil {
		return nil
	}
	h := p.header
	s := Section{BigEndian: h.BigEndian, Application: "topotape " + p.Tool, Comments: []string{
		fmt.Sprintf("tape %x of host %q (%q), recorded from %s on by topotape %s", h.TapeID, h.HostName, h.HostID,
			time.Unix(0, h.Start).UTC().Format(time.RFC3339Nano), h.Tool)}}
	if p.host.Kernel != "" {
		s.OS = "Linux " + p.host.Kernel
	}
	if h.Note != "" {
		s.Comments = append(s.Comments, h.Note)
	}
	p.section, err = NewWriter(p.Out, s)
	return err
}

// End writes the interfaces' totals. A file without a packet is a section too.
func (p *Printer) End() error {
	if p.header == nil {
		return nil
	}
	if err := p.open(); err != nil {
		return err
	}
	for i, at := range p.order {
		s := Statistics{Time: p.wall(), Received: &at.packets, Dropped: &at.dropped, Last: true}
		if i == len(p.order)-1 {
			s.Comments, p.notes = p.notes, nil // marks that no packet follows
		}
		if err := p.section.Statistics(at.number, s); err != nil {
			return err
		}
	}
	return nil
}
