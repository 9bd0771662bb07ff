package pcapng

import (
	"encoding/binary"
	"io"
	"strings"
)

// Link types, which determine the first header of a packet
// (https://www.tcpdump.org/linktypes.html).
const (
	linkRaw     = 101 // an IPv4 or IPv6 header
	linkNetlink = 253 // the 16 bytes of appendNetlinkHeader, then netlink messages
)

// Block types and option codes of the draft.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockStatistics = 5
	blockPacket     = 6

	byteOrderMagic = 0x1a2b3c4d

	optEnd         = 0
	optComment     = 1
	optOS          = 3 // of a section
	optApplication = 4
	optName        = 2 // of an interface
	optDescription = 3
	optResolution  = 9
	optFlags       = 2 // of a packet
	optEndTime     = 3 // of statistics
	optReceived    = 4
	optDropped     = 5
)

// A sectionInfo is the content of a section header. Texts may be empty.
type sectionInfo struct {
	BigEndian   bool // byte order of the section: usually that of the recorded host
	OS          string
	Application string
	Comments    []string
}

// An interfaceInfo is a source of packets.
type interfaceInfo struct {
	Link        uint16
	Snaplen     uint32 // bytes kept of a packet; 0 is all
	Name        string
	Description string
}

// Directions of a packet, with their values in epb_flags.
const (
	inbound  = 1
	outbound = 2
)

// A packetInfo as it was captured.
type packetInfo struct {
	Time      int64 // Unix ns
	Data      []byte
	Length    uint32 // on the wire; at least the length of Data
	Direction uint32 // inbound, outbound, or 0 for unknown
	Comments  []string
}

// Statistics of an interface up to a time.
type statisticsInfo struct {
	Time     int64  // Unix ns
	Received uint64 // packets; only with Last
	Dropped  uint64 // packets
	Last     bool   // the capture ended at that time
	Comments []string
}

// A writer writes one section. It calls Write once for each block.
type writer struct {
	out        io.Writer
	order      byteOrder
	buf        []byte
	interfaces uint32
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

func orderOf(bigEndian bool) byteOrder {
	if bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// newWriter writes a section header. A file may have several sections.
func newWriter(out io.Writer, s sectionInfo) (*writer, error) {
	w := &writer{out: out, order: orderOf(s.BigEndian)}
	w.begin(blockSection)
	w.u32(byteOrderMagic)
	w.u16(1) // version 1.0
	w.u16(0)
	w.u32(0xffffffff) // the section's length is not known
	w.u32(0xffffffff)
	w.comments(s.Comments)
	w.text(optOS, s.OS)
	w.text(optApplication, s.Application)
	return w, w.end()
}

// writeInterface adds an interface and returns its number.
func (w *writer) writeInterface(i interfaceInfo) (uint32, error) {
	w.begin(blockInterface)
	w.u16(i.Link)
	w.u16(0)
	w.u32(i.Snaplen)
	w.text(optName, i.Name)
	w.text(optDescription, i.Description)
	w.option(optResolution, []byte{9}) // nanoseconds
	w.interfaces++
	return w.interfaces - 1, w.end()
}

// writePacket writes a packet of the interface with this number.
func (w *writer) writePacket(at uint32, p packetInfo) error {
	w.begin(blockPacket)
	w.u32(at)
	w.time(p.Time)
	w.u32(uint32(len(p.Data)))
	w.u32(max(p.Length, uint32(len(p.Data))))
	w.padded(p.Data)
	w.comments(p.Comments)
	if p.Direction != 0 {
		w.option(optFlags, w.order.AppendUint32(nil, p.Direction))
	}
	return w.end()
}

// writeStatistics writes how many packets an interface received and dropped.
func (w *writer) writeStatistics(at uint32, s statisticsInfo) error {
	w.begin(blockStatistics)
	w.u32(at)
	w.time(s.Time)
	w.comments(s.Comments)
	if s.Last {
		w.option(optEndTime, w.halves(nil, s.Time))
		w.option(optReceived, w.order.AppendUint64(nil, s.Received))
	}
	w.option(optDropped, w.order.AppendUint64(nil, s.Dropped))
	return w.end()
}

// appendNetlinkHeader appends the 16 bytes before the netlink messages in a packet of
// linkNetlink: the direction (0: to user space, 7: to the kernel), ARPHRD_NETLINK, and
// the netlink family, in network byte order.
func appendNetlinkHeader(b []byte, to, family uint16) []byte {
	const arphrdNetlink = 824
	b, _ = binary.Append(b, binary.BigEndian, [8]uint16{0: to, 1: arphrdNetlink, 7: family}) // arrays of numbers do not fail
	return b
}

func (w *writer) u16(v uint16) { w.buf = w.order.AppendUint16(w.buf, v) }
func (w *writer) u32(v uint32) { w.buf = w.order.AppendUint32(w.buf, v) }

func (w *writer) time(ns int64) { w.buf = w.halves(w.buf, ns) }

// halves appends a time as its upper and its lower half.
func (w *writer) halves(b []byte, ns int64) []byte {
	v := uint64(max(ns, 0))
	return w.order.AppendUint32(w.order.AppendUint32(b, uint32(v>>32)), uint32(v))
}

func (w *writer) padded(b []byte) {
	w.buf = append(w.buf, b...)
	for len(w.buf)%4 != 0 {
		w.buf = append(w.buf, 0)
	}
}

func (w *writer) option(code uint16, value []byte) {
	w.u16(code)
	w.u16(uint16(len(value)))
	w.padded(value)
}

// maxText is the longest text, in bytes. The length of an option has 16 bits.
const maxText = 60_000

func (w *writer) text(code uint16, s string) {
	if s == "" {
		return
	}
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") // without a character that is cut off
	}
	w.option(code, []byte(s))
}

func (w *writer) comments(list []string) {
	for _, c := range list {
		w.text(optComment, c)
	}
}

func (w *writer) begin(kind uint32) {
	w.buf = w.buf[:0]
	w.u32(kind)
	w.u32(0) // the length, which end sets
}

// end closes the options and the block, and writes it.
func (w *writer) end() error {
	w.u16(optEnd)
	w.u16(0)
	w.u32(uint32(len(w.buf) + 4))
	w.order.PutUint32(w.buf[4:], uint32(len(w.buf)))
	_, err := w.out.Write(w.buf)
	return err
}
