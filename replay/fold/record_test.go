package fold

import (
	"net/netip"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/sockdiag"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// Records of socket events match by their ends, and by the processes that they name.
func TestSocketRecordsMatch(t *testing.T) {
	f := sockmsg.UsualFormat()
	event := sockmsg.Event{PID: 100, TID: 101, Old: procnet.Close, New: procnet.SynSent, Protocol: sockmsg.TCP,
		Local: netip.MustParseAddrPort("10.0.0.1:0"), Remote: netip.MustParseAddrPort("10.0.0.2:80")}
	process := func(p sockmsg.Process, bigEndian bool) capture.Record {
		return capture.Record{Kind: capture.KindProcessEvent, Payload: p.Append(nil, bigEndian)}
	}
	row := sockdiag.Row{Row: procnet.Row{Local: netip.MustParseAddrPort("10.0.0.3:22"), Remote: netip.MustParseAddrPort("10.0.0.4:40000"), State: procnet.Established}}
	listener := sockdiag.Row{Row: procnet.Row{Local: netip.MustParseAddrPort("10.0.0.5:22"), Remote: netip.MustParseAddrPort("0.0.0.0:0"), State: procnet.Listen}}
	closed := sockdiag.Close{Local: row.Local, Remote: row.Remote}
	list := []capture.Process{{PID: 7, Comm: "init"}, {PID: 100, Comm: "curl"}}
	for _, bigEndian := range []bool{false, true} {
		records := map[string]capture.Record{
			"event":     {Kind: capture.KindSocketEvent, Payload: event.Append(nil, &f, bigEndian)},
			"malformed": {Kind: capture.KindSocketEvent, Payload: []byte{1}},
			"fork":      process(sockmsg.Process{Kind: sockmsg.Fork, PID: 101, TID: 101, PPID: 100}, bigEndian),
			"comm":      process(sockmsg.Process{Kind: sockmsg.Comm, PID: 101, TID: 101, Comm: "curl"}, bigEndian),
			"exit":      process(sockmsg.Process{Kind: sockmsg.Exit, PID: 102, TID: 102, PPID: 100}, bigEndian),
			"cgroup":    process(sockmsg.Process{Kind: sockmsg.Cgroup, PID: 100, TID: 100, Cgroup: 1, Path: "curl"}, bigEndian),
			"processes": {Kind: capture.KindProcesses, Payload: capture.AppendPayload(nil, &capture.ProcSockets{Processes: list})},
			"cgroups":   {Kind: capture.KindCgroups, Payload: capture.AppendPayload(nil, &capture.Cgroups{Dirs: []capture.Cgroup{{Inode: 1, Path: "curl"}}})},
			"close":     {Kind: capture.KindSocketClose, Payload: closed.Append(nil, bigEndian)},
			"table": {Kind: capture.KindSocketTable, Payload: capture.AppendPayload(nil, &capture.SocketTable{Table: "tcp",
				Messages: listener.Append(row.Append(nil, false, bigEndian), false, bigEndian)})},
		}
		for text, want := range map[string][]string{
			"10.0.0.2:80": {"event"}, "10.0.0.1->10.0.0.2": {"event"}, "10.0.0.2->10.0.0.1": {"event"}, // a listener's peer may be the client
			"10.0.0.2:81": nil, "pid:100": {"event", "fork", "processes"}, "pid:101": {"fork", "comm"}, "pid:102": {"exit"}, "curl": {"comm", "processes"},
			"pid:100 :80": {"event"}, "init": {"processes"}, "10.0.0.4": {"close", "table"}, "10.0.0.5:22": {"table"},
		} {
			s, err := ParseSelector(text)
			if err != nil {
				t.Fatal(err)
			}
			m := RecordMatcher{Selectors: []*Selector{s}, Format: &f}
			matched := map[string]bool{}
			for name, r := range records {
				if m.Match(&r, bigEndian) {
					matched[name] = true
				}
			}
			for _, name := range want {
				if !matched[name] {
					t.Errorf("%s does not match %s, big endian %v", name, text, bigEndian)
				}
				delete(matched, name)
			}
			for name := range matched {
				t.Errorf("%s matches %s", name, text)
			}
		}
	}
}
