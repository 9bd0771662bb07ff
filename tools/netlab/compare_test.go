package netlab

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// madeConn returns a connection through DNAT that was open for a second from noon on.
func madeConn() Conn {
	return Conn{Pattern: DNAT, Family: "ip4", Established: true, Opened: noon, Closed: noon.Add(time.Second),
		Client: endpoint{Netns: 1, Local: netip.MustParseAddrPort("198.18.0.2:40000"), Remote: netip.MustParseAddrPort("198.18.0.1:80"), process: process{10, "lab-client"}},
		Server: endpoint{Netns: 2, Local: netip.MustParseAddrPort("198.18.1.2:8080"), Remote: netip.MustParseAddrPort("198.18.0.2:40000"), process: process{20, "lab-server"}}}
}

// userspaceConn returns the connection of a client that is no socket of the kernel.
func userspaceConn() Conn {
	c := madeConn()
	c.Client.process, c.Client.Netns = process{}, 0
	return c
}

func loopbackConn(netns uint64) Conn {
	c := madeConn()
	c.Client = endpoint{Netns: netns, Local: netip.MustParseAddrPort("127.0.0.1:34000"), Remote: netip.MustParseAddrPort("127.0.0.1:44444"), process: process{int(netns) * 10, "lab-lo"}}
	c.Server = endpoint{Netns: netns, Local: c.Client.Remote, Remote: c.Client.Local, process: process{int(netns)*10 + 1, "lab-lo-srv"}}
	return c
}

func TestCompare(t *testing.T) {
	later := Window{From: noon.Add(time.Minute)}
	refused := madeConn()
	refused.Established, refused.Server = false, endpoint{}
	swap := func(r *ReportConn) { r.From, r.To = r.To, r.From }
	for _, tc := range []struct {
		name   string
		truth  []Conn
		report func() []ReportConn
		window Window
		want   string
	}{
		{"right", []Conn{madeConn()}, one(nil), Window{}, "found 1"},
		{"missing", []Conn{madeConn()}, none, Window{}, "missing 1"},
		{"missing, but before the window", []Conn{madeConn()}, none, later, ""},
		{"the gateway's address is no server", []Conn{madeConn()}, one(func(r *ReportConn) { r.To.Addr, r.To.Port = netip.MustParseAddr("198.18.0.1"), 80 }), Window{}, "missing 1, false 1"},
		{"reversed", []Conn{madeConn()}, one(swap), Window{}, "missing 1, reversed 1"},
		{"twice", []Conn{madeConn()}, func() []ReportConn { r := reportConn(madeConn()); return []ReportConn{r, r} }, Window{}, "found 1, duplicate 1"},
		{"a port used twice", []Conn{madeConn(), madeConn()}, one(nil), Window{}, "found 2"},
		{"stale", []Conn{madeConn()}, one(func(r *ReportConn) { r.Closed = false }), later, "found 1, stale 1"},
		{"reported as closed", []Conn{madeConn()}, one(nil), later, "found 1"},
		{"another's process", []Conn{madeConn()}, one(func(r *ReportConn) { r.From.Processes[0].PID = 11 }), Window{}, "found 1, misplaced 1"},
		{"another's process besides its own", []Conn{madeConn()}, one(func(r *ReportConn) {
			r.From.Processes = append(r.From.Processes, process{11, "lab-client"})
		}), Window{}, "found 1, misplaced 1"},
		{"no process where none can be", []Conn{userspaceConn()}, one(func(r *ReportConn) { r.From.Netns = 0 }), Window{}, "found 1, misplaced 1"},
		{"another's namespace", []Conn{madeConn()}, one(func(r *ReportConn) { r.To.Netns = 1 }), Window{}, "found 1, misplaced 1"},
		{"only the tuple is known", []Conn{madeConn()}, one(func(r *ReportConn) {
			r.From, r.To = ReportEnd{Addr: r.From.Addr, Port: r.From.Port}, ReportEnd{Addr: r.To.Addr, Port: r.To.Port}
		}), Window{}, "found 1"},
		{"refused", []Conn{refused}, one(nil), Window{}, "false 1"},
		{"not the lab's", nil, one(func(r *ReportConn) {
			r.From.Addr, r.To.Addr = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
		}), Window{}, ""},
		{"both loopbacks", []Conn{loopbackConn(1), loopbackConn(2)}, func() []ReportConn {
			return []ReportConn{reportConn(loopbackConn(1)), reportConn(loopbackConn(2))}
		}, Window{}, "found 2"},
		{"both loopbacks, one reported", []Conn{loopbackConn(1), loopbackConn(2)}, func() []ReportConn { return []ReportConn{reportConn(loopbackConn(1))} }, Window{}, "found 1, missing 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := Compare(tc.truth, Report{Connections: tc.report()}, tc.window)
			var got []string
			for _, part := range strings.Split(r.String(), ", ") {
				if !strings.HasSuffix(part, " 0") && !strings.HasSuffix(part, "process") && !strings.HasSuffix(part, "without") {
					got = append(got, part)
				}
			}
			if g := strings.Join(got, ", "); g != tc.want {
				t.Errorf("%s, want %s", g, tc.want)
			}
			if right := tc.want == "" || strings.HasPrefix(tc.want, "found") && !strings.Contains(tc.want, ","); right != (r.Err() == nil) {
				t.Error(r.Err())
			}
		})
	}
}

func none() []ReportConn { return nil }

func one(change func(*ReportConn)) func() []ReportConn {
	return func() []ReportConn {
		r := reportConn(madeConn())
		if change != nil {
			change(&r)
		}
		return []ReportConn{r}
	}
}

// An end is reported with its own process, with one that also had its socket, or with none.
func TestCompareCountsProcesses(t *testing.T) {
	made := madeConn()
	made.Client.Others = []process{{11, "lab-heir"}}
	for _, tc := range []struct {
		name           string
		processes      []process
		owned, unowned int // the server's end is owned
	}{
		{"its own", []process{{10, "lab-client"}}, 2, 0},
		{"its own and another one that had the socket", []process{{10, "lab-client"}, {11, "lab-heir"}}, 2, 0},
		{"only the other one", []process{{11, "lab-heir"}}, 1, 1},
		{"none", nil, 1, 1},
	} {
		r := reportConn(made)
		r.From.Processes = tc.processes
		res := Compare([]Conn{made}, Report{Connections: []ReportConn{r}}, Window{})
		if res.Err() != nil || res.Owned != tc.owned || res.Unowned != tc.unowned {
			t.Errorf("%s: %v", tc.name, res)
		}
	}
}

// ReadReport reads the JSON that topotape prints.
func TestReadReport(t *testing.T) {
	const report = `{"host":{"id":"h","name":"h"},"tick":7,"at":"2026-01-02T12:00:00Z","window":"3s","rules":"current","coverage":[],
"connections":[{"proto":"tcp","from":{"addr":"198.18.0.2","port":40000,"netns":1,"processes":[{"pid":10,"comm":"lab-client"}]},
"to":{"addr":"198.18.1.2","port":8080,"netns":0,"processes":[]},"state":"ESTABLISHED","direction":"handshake","nat":[],
"first_seen":"0s","last_seen":"1s","closed":false,"seen":["conntrack","proc"]}],"endpoints":[],
"names":[{"addr":"198.18.0.1","forward":["shop.lab.test"],"reverse":[]}]}`
	rep, err := ReadReport(strings.NewReader(report))
	if err != nil {
		t.Fatal(err)
	}
	named := madeConn()
	named.Name = "shop.lab.test"
	if r := Compare([]Conn{named}, rep, Window{}); r.Err() != nil || len(r.Found) != 1 || len(r.Unnamed) != 0 || r.Owned != 1 || r.Unowned != 1 {
		t.Error(r)
	}
}

func TestPlanJSON(t *testing.T) {
	want := DefaultPlan()
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadPlan(strings.NewReader(string(b)))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\n%+v", err, got, want)
	}
	for _, bad := range []string{
		`{"patterns":[{"kind":"nosuch"}]}`, `{"patterns":[{"kind":"dnat","cuont":1}]}`, `{"patterns":[{"kind":"dnat","hold":"-1s"}]}`,
		`{"patterns":[{"kind":"refused","count":1001}]}`, `{"patterns":[{"kind":"dnat","close":"whatever"}]}`,
		`{"patterns":[{"kind":"dnat","close":"server","hold":"1s"}]}`, `{"patterns":[{"kind":"dnat","client":"nosuch"}]}`,
		`{"patterns":[{"kind":"dnat","client":"process","hold":"whole"}]}`, `{"patterns":[{"kind":"dns-udp","client":"process"}]}`, `{"duration":5}`, `{`,
	} {
		if _, err := ReadPlan(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func reportConn(c Conn) ReportConn {
	end := func(e endpoint) ReportEnd {
		r := ReportEnd{Addr: e.Local.Addr(), Port: e.Local.Port(), Netns: e.Netns}
		b, _ := json.Marshal([]map[string]any{{"pid": e.PID, "comm": e.Comm}})
		json.Unmarshal(b, &r.Processes)
		return r
	}
	return ReportConn{Proto: "tcp", From: end(c.Client), To: end(c.Server), Closed: !c.Closed.IsZero()}
}
