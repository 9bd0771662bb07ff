package pcapng

import (
	"encoding/binary"

	"github.com/topotape/topotape/capture"
)

// Constants of a netlink dump: include/uapi/linux/netlink.h, nfnetlink.h.
const (
	netlinkToUs     = 0
	netlinkToKernel = 7      // PACKET_KERNEL
	conntrackGet    = 0x0101 // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
	netlinkDone     = 3
	netlinkDump     = 0x301 // NLM_F_REQUEST, NLM_F_DUMP
	netlinkMulti    = 0x002
	netlinkVoid     = 0x010 // NLM_F_DUMP_INTR
)

// dumpState is the state of a source's dump. The messages before and after its
// entries carry the entries' sequence number and port ID.
type dumpState struct {
	open      bool
	seq, port uint32 // of the last entry, 0 before the first
}

// dumpBegin writes the request that a dump answers.
func (p *Printer) dumpBegin(source uint32) error {
	if p.dumps[source].open {
		if err := p.dumpEnd(source, "it has no end"); err != nil {
			return err
		}
	}
	if len(p.dumps) < maxPorts {
		p.dumps[source] = dumpState{open: true}
	}
	return p.netlink(source, netlinkToKernel, p.message(conntrackGet, netlinkDump, dumpState{}))
}

// dumpEntry notes the entry's sequence number and port ID.
func (p *Printer) dumpEntry(r *capture.Record) {
	if d := p.dumps[r.Source]; d.open && len(r.Payload) >= 16 {
		order := orderOf(p.header.BigEndian)
		d.seq, d.port = order.Uint32(r.Payload[8:]), order.Uint32(r.Payload[12:])
		p.dumps[r.Source] = d
	}
}

// dumpEnd writes the dump's NLMSG_DONE. The flag of an interrupted dump marks one
// that failed.
func (p *Printer) dumpEnd(source uint32, failed string) error {
	flags := uint16(netlinkMulti)
	if failed != "" {
		flags |= netlinkVoid
		p.notes = append(p.notes, "dump failed: "+failed)
	}
	d := p.dumps[source]
	delete(p.dumps, source)
	return p.netlink(source, netlinkToUs, p.message(netlinkDone, flags, d))
}

// message returns a netlink message of four zero bytes: struct nfgenmsg in a
// request, the error code in an NLMSG_DONE.
func (p *Printer) message(kind, flags uint16, d dumpState) []byte {
	type header struct {
		Length      uint32
		Kind, Flags uint16
		Seq, Port   uint32
		Zero        uint32
	}
	b, _ := binary.Append(nil, orderOf(p.header.BigEndian), header{20, kind, flags, d.seq, d.port, 0}) // its size is fixed
	return b
}

// netlink writes a conntrack message as a packet that went in direction to.
func (p *Printer) netlink(source uint32, to uint16, message []byte) error {
	p.scratch = append(appendNetlinkHeader(p.scratch[:0], to, netlinkNetfilter), message...)
	return p.packet(portKey{source, 0}, capture.SourceConntrack, packetInfo{Data: p.scratch})
}
