package tools

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/tape"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

// A change is an event with which a flow became a connection, or stopped being one.
type change struct {
	seq   uint64 // of the event's record
	at    int64
	begun int64 // time of the flow's first message
	opens bool
}

// A tableName is one of a namespace's tables.
type tableName struct {
	netns uint64
	name  string
}

// A tableRead is one reading of a table of /proc/net.
type tableRead struct {
	reading
	name   tableName
	inodes map[way]uint64 // of the rows that show a connection
}

// A walkRead is one walk of /proc.
type walkRead struct {
	reading
	tables map[tableName]*tableRead
	owners map[uint64][]uint32 // pids by inode, sorted
}

// A tickRead is a tick, its report and the last walk before it.
type tickRead struct {
	seq   uint64
	at    int64
	conns []report.Connection
	walk  *walkRead
}

// tapeFacts are the contents of a tape, read without the core's parsers.
type tapeFacts struct {
	start int64 // boot time of At 0; all times here are boot times
	flows map[flowName][]change
	ways  map[way][]change // the same, by the addresses of either end's socket
	ticks []tickRead
	walks []*walkRead

	markers map[marker]uint64 // numbers of their records

	open    map[flowID]*openFlow
	dumping uint64 // the record at which a dump began
	walking *walkRead
}

type flowID struct {
	id   uint32
	zone uint16
	name flowName
}

type openFlow struct {
	state      uint8
	replied    bool
	connection bool
	begun      int64
	updated    uint64 // number of the last record
}

// readFacts reads a whole tape. The core makes the reports. The tape's start is a time of
// the wall clock; lead is how much that was ahead of the boot clock.
func readFacts(recorded string, lead int64) (*tapeFacts, error) {
	f, err := os.Open(recorded)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := tape.NewReader(f)
	if err != nil {
		return nil, err
	}
	s := &tapeFacts{start: r.Header().Start - lead, flows: map[flowName][]change{}, ways: map[way][]change{}, markers: map[marker]uint64{}, open: map[flowID]*openFlow{}}
	core, err := reporter.New(r.Header(), reporter.RulesCurrent)
	if err != nil {
		return nil, err
	}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		switch rec.Kind {
		case capture.KindDumpBegin:
			s.dumping = rec.Seq
		case capture.KindDumpEnd:
			s.dumped(&rec)
		case capture.KindConntrack, capture.KindDumpEntry:
			err = s.message(&rec)
		case capture.KindWalkBegin, capture.KindWalkEnd, capture.KindProcNet, capture.KindSocketTable, capture.KindProcUnchanged, capture.KindProcSockets:
			err = s.proc(&rec)
		case capture.KindGap:
			err = fmt.Errorf("something was lost")
		}
		if err != nil {
			return nil, fmt.Errorf("record %d, %v: %w", rec.Seq, rec.Kind, err)
		}
		if core.Step(&rec) {
			t := tickRead{seq: rec.Seq, at: s.start + rec.At, conns: core.Report().Connections}
			if len(s.walks) > 0 {
				t.walk = s.walks[len(s.walks)-1]
			}
			s.ticks = append(s.ticks, t)
		}
	}
}

// eventOf decodes a message with ti-mo/conntrack, not with the core.
func eventOf(rec *capture.Record) (*conntrack.Event, error) {
	b := rec.Payload
	e := new(conntrack.Event)
	return e, e.Unmarshal(netlink.Message{Header: netlink.Header{
		Length: binary.NativeEndian.Uint32(b), Type: netlink.HeaderType(binary.NativeEndian.Uint16(b[4:])),
		Flags: netlink.HeaderFlags(binary.NativeEndian.Uint16(b[6:])),
	}, Data: b[16:]})
}

// message updates a flow by the kernel's TCP states (nf_conntrack_tcp.h): ESTABLISHED 3 to
// LAST_ACK 6 are connections, TIME_WAIT 7 and CLOSE 8 are not.
func (s *tapeFacts) message(rec *capture.Record) error {
	e, err := eventOf(rec)
	if err != nil {
		return err
	}
	f := e.Flow
	if n := markerOf(e); n != 0 && rec.Kind == capture.KindConntrack {
		s.markers[n] = rec.Seq
	}
	if f.TupleOrig.Proto.Protocol != 6 {
		return nil
	}
	ways := func(t *conntrack.Tuple) way {
		return way{netip.AddrPortFrom(t.IP.SourceAddress, t.Proto.SourcePort), netip.AddrPortFrom(t.IP.DestinationAddress, t.Proto.DestinationPort)}
	}
	id := flowID{f.ID, f.Zone, flowName{ways(&f.TupleOrig), ways(&f.TupleReply)}}
	o := s.open[id]
	if o != nil && rec.Kind == capture.KindDumpEntry && o.updated > s.dumping {
		return nil // there were later events
	}
	if o == nil {
		o = &openFlow{begun: s.start + rec.At}
		s.open[id] = o
	}
	o.updated = rec.Seq
	o.replied = o.replied || f.Status.SeenReply()
	if f.ProtoInfo.TCP != nil {
		o.state = f.ProtoInfo.TCP.State
	}
	connected := o.replied && o.state >= 3 && o.state <= 6 && e.Type != conntrack.EventDestroy
	s.setConnected(id.name, o, connected, rec)
	if e.Type == conntrack.EventDestroy {
		delete(s.open, id)
	}
	return nil
}

// setConnected adds a change if the flow was not already in that state.
func (s *tapeFacts) setConnected(name flowName, o *openFlow, connected bool, rec *capture.Record) {
	if connected != o.connection {
		o.connection = connected
		c := change{rec.Seq, s.start + rec.At, o.begun, connected}
		s.flows[name] = append(s.flows[name], c)
		s.ways[name.orig] = append(s.ways[name.orig], c)
		s.ways[name.reply] = append(s.ways[name.reply], c)
	}
}

// dumped ends the flows that are missing in a complete dump.
func (s *tapeFacts) dumped(rec *capture.Record) {
	for id, o := range s.open {
		if o.updated < s.dumping {
			s.setConnected(id.name, o, false, rec)
			delete(s.open, id)
		}
	}
}

func (s *tapeFacts) proc(rec *capture.Record) error {
	switch rec.Kind {
	case capture.KindWalkBegin:
		s.walking = &walkRead{reading: reading{begin: s.start + rec.At}, tables: map[tableName]*tableRead{}, owners: map[uint64][]uint32{}}
		return nil
	case capture.KindWalkEnd:
		var p capture.ProcWalk
		if err := rec.Decode(&p); err != nil {
			return err
		}
		if p.Failed == "" {
			s.walking.end = s.start + rec.At
			s.walks = append(s.walks, s.walking)
		}
		return nil
	case capture.KindProcNet:
		return s.table(rec)
	case capture.KindSocketTable:
		return s.socketTable(rec)
	case capture.KindProcUnchanged:
		var p capture.ProcUnchanged
		if err := rec.Decode(&p); err != nil {
			return err
		}
		if len(s.walks) == 0 {
			return fmt.Errorf("no table before it")
		}
		key := tableName{p.Netns, p.Table}
		if last := s.walks[len(s.walks)-1].tables[key]; last != nil {
			s.walking.tables[key] = &tableRead{reading{s.start + p.Checked, s.start + p.Checked}, key, last.inodes}
		}
		return nil
	}
	var p capture.ProcSockets
	if err := rec.Decode(&p); err != nil {
		return err
	}
	for i := range p.Processes {
		for _, inode := range p.Processes[i].Inodes {
			pids := append(s.walking.owners[inode], p.Processes[i].PID)
			slices.Sort(pids)
			s.walking.owners[inode] = slices.Compact(pids)
		}
	}
	return nil
}

// table reads the lines of a table by their columns (proc_pid_net(5)).
func (s *tapeFacts) table(rec *capture.Record) error {
	var p capture.ProcNet
	if err := rec.Decode(&p); err != nil {
		return err
	}
	if p.Table != "tcp" && p.Table != "tcp6" {
		return nil
	}
	t := s.read(tableName{p.Netns, p.Table}, p.ReadStart, p.ReadEnd)
	for l := range strings.Lines(string(p.Text)) {
		f := strings.Fields(l)
		if len(f) < 10 || f[0] == "sl" || !slices.Contains([]string{"01", "04", "05", "08"}, f[3]) {
			continue
		}
		local, err := tableAddr(f[1])
		if err != nil {
			return err
		}
		remote, err := tableAddr(f[2])
		if err != nil {
			return err
		}
		inode, err := strconv.ParseUint(f[9], 10, 64)
		if err != nil {
			return err
		}
		t.add(way{local, remote}, inode)
	}
	return nil
}

// read returns the table that a part of it belongs to.
func (s *tapeFacts) read(key tableName, begin, end int64) *tableRead {
	t := s.walking.tables[key]
	if t == nil {
		t = &tableRead{name: key, inodes: map[way]uint64{}}
		t.begin = s.start + begin
		s.walking.tables[key] = t
	}
	t.end = s.start + end
	return t
}

func (t *tableRead) add(w way, inode uint64) {
	if t.inodes[w] == 0 {
		t.inodes[w] = inode
	}
}

// socketTable reads the messages of a table by their offsets (sock_diag(7)).
func (s *tapeFacts) socketTable(rec *capture.Record) error {
	var p capture.SocketTable
	if err := rec.Decode(&p); err != nil {
		return err
	}
	t := s.read(tableName{p.Netns, p.Table}, p.ReadStart, p.ReadEnd)
	for b := p.Messages; len(b) > 0; {
		n := int(binary.NativeEndian.Uint32(b))
		if n < 88 || n > len(b) || p.Interrupted {
			return fmt.Errorf("a message of %d bytes, interrupted %v", n, p.Interrupted)
		}
		end := func(addr, port int) netip.AddrPort {
			a, _ := netip.AddrFromSlice(b[addr : addr+map[byte]int{2: 4, 10: 16}[b[16]]])
			return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(b[port:]))
		}
		if slices.Contains([]byte{1, 4, 5, 8}, b[17]) {
			t.add(way{end(24, 20), end(40, 22)}, uint64(binary.NativeEndian.Uint32(b[84:])))
		}
		b = b[(n+3)&^3:]
	}
	return nil
}

// tableAddr reads an address of a table: hexadecimal words in the host's byte order.
func tableAddr(s string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	n, err := strconv.ParseUint(port, 16, 16)
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), err
}
