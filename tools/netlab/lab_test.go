//go:build linux

package netlab

import (
	"bufio"
	"bytes"
	"context"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv makes the test binary build a lab and then wait or panic.
const childEnv = "NETLAB_TEST_CHILD"

func TestMain(m *testing.M) {
	RunWorkerIfAsked()
	if how := os.Getenv(childEnv); how != "" {
		l, err := New(context.Background(), Options{})
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(l.prefix + "\n")
		if how == "panic" {
			panic("as asked")
		}
		select {}
	}
	os.Exit(m.Run())
}

// newLab builds a lab, and checks after the test that nothing of it is left. It skips the
// test without root.
func newLab(t *testing.T) *Lab {
	t.Helper()
	if err := usable(); err != nil {
		t.Skip(err)
	}
	begin := time.Now()
	l, err := New(t.Context(), Options{Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("set-up took %v", took)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		for _, name := range namespaces(t) {
			if strings.HasPrefix(name, l.prefix) {
				t.Errorf("namespace %s is left", name)
			}
		}
		for comm, w := range l.workers {
			if _, err := os.Stat("/proc/" + strconv.Itoa(w.PID)); err == nil {
				t.Errorf("process %d (%s) is left", w.PID, comm)
			}
		}
	})
	return l
}

func namespaces(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(netnsDir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func smallPlan() Plan {
	p := Plan{Duration: time.Second}
	for _, k := range []string{Routed, DNAT, Masquerade, DNATSNAT, IPv6, IPv6DNAT, HighPort, Loopback, dnsUDP, dnsTCP, dnsCNAME} {
		p.Patterns = append(p.Patterns,
			Pattern{Kind: k, Count: 4, Hold: WholePlan},
			Pattern{Kind: k, Count: 10, Bytes: 5000})
	}
	return Plan{Duration: time.Second, Patterns: append(p.Patterns,
		Pattern{Kind: Routed, Count: 5, Close: "server"},
		Pattern{Kind: DNAT, Count: 5, Close: "reset", Hold: 50 * time.Millisecond},
		Pattern{Kind: Routed, Count: 2, Bytes: 3 << 20},
		Pattern{Kind: Refused, Count: 4},
		Pattern{Kind: HalfOpen, Count: 4},
	)}
}

func TestTruthIsConsistent(t *testing.T) {
	l := newLab(t)
	conns, err := l.Run(t.Context(), smallPlan())
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, c := range conns {
		count[c.Pattern]++
		checkConn(t, l, c)
	}
	want := map[string]int{Routed: 21, DNAT: 19, Masquerade: 14, DNATSNAT: 14, IPv6: 14, IPv6DNAT: 14, HighPort: 14,
		Loopback: 28, dnsUDP: 14, dnsTCP: 14, dnsCNAME: 14, dnsQuery: 14, Refused: 4, HalfOpen: 4}
	for k, n := range want {
		if count[k] != n {
			t.Errorf("%s: %d connections, not %d", k, count[k], n)
		}
	}
	checkLoopback(t, conns)

	var b bytes.Buffer
	if err := WriteTruth(&b, conns); err != nil {
		t.Fatal(err)
	}
	again, err := ReadTruth(&b)
	if err != nil || len(again) != len(conns) {
		t.Fatalf("read back %d of %d: %v", len(again), len(conns), err)
	}
	if r := Compare(again, perfectReport(conns), Window{}); r.Err() != nil || len(r.Found) != len(conns)-8 || len(r.Unnamed) != 42 {
		t.Error("a perfect report without names:", r.Summary(5))
	}
}

// checkConn checks both ends of a connection by its kind.
func checkConn(t *testing.T, l *Lab, c Conn) {
	t.Helper()
	bad := func(what string) { t.Helper(); t.Errorf("%s: %s: %+v", c.Pattern, what, c) }
	if c.Client.PID == 0 || c.Client.Comm == "" || c.Client.Netns == 0 || !c.Client.Local.IsValid() {
		bad("client not known")
	}
	if c.Opened.IsZero() || c.Closed.Before(c.Opened) || c.Closed.Sub(c.Opened) > time.Minute {
		bad("times")
	}
	if c.Pattern == Refused || c.Pattern == HalfOpen {
		if c.Established || c.Server.Local.IsValid() {
			bad("established")
		}
		return
	}
	if !c.Established || !c.Server.Local.IsValid() || !c.Server.Remote.IsValid() || c.Server.Netns == 0 {
		bad("server not known")
	}
	if (c.Family == "ip6") != c.Client.Local.Addr().Is6() || (c.Family == "ip6") != c.Server.Local.Addr().Is6() {
		bad("family")
	}
	dnat := c.Client.Remote != c.Server.Local
	snat := c.Client.Local != c.Server.Remote
	wantDNAT, wantSNAT := false, false
	switch c.Pattern {
	case DNAT, IPv6DNAT:
		wantDNAT = true
	case Masquerade:
		wantSNAT = true
		if port := c.Server.Remote.Port(); c.Client.Remote.Addr() == netip.MustParseAddr("198.19.0.11") && port >= 8000 {
			bad("source port is not low")
		}
	case DNATSNAT:
		wantDNAT, wantSNAT = true, true
	case Prefork:
		wantDNAT = c.Client.Remote.Addr() == netip.MustParseAddr("198.18.0.1")
	case HighPort:
		if c.Client.Local.Port() >= c.Server.Local.Port() {
			bad("ports")
		}
	case dnsUDP, dnsTCP:
		if c.Name == "" || len(c.Chain) != 0 {
			bad("name")
		}
	case dnsCNAME:
		if c.Name != "www.lab.test" || strings.Join(c.Chain, " ") != "edge.lab.test lb.lab.test web.lab.test" {
			bad("name")
		}
	}
	if dnat != wantDNAT || snat != wantSNAT {
		bad("translation")
	}
	if c.Pattern == Loopback {
		if c.Client.Netns != c.Server.Netns {
			bad("namespace")
		}
	} else if c.Client.Netns != l.Client.Inode || c.Server.Netns != l.Server.Inode && c.Pattern != dnsQuery {
		bad("namespace")
	}
}

// checkLoopback checks that both namespaces had each tuple, at the same time, with
// different processes.
func checkLoopback(t *testing.T, conns []Conn) {
	t.Helper()
	byTuple := map[netip.AddrPort][]Conn{}
	for _, c := range conns {
		if c.Pattern == Loopback {
			byTuple[c.Client.Local] = append(byTuple[c.Client.Local], c)
		}
	}
	for tuple, cs := range byTuple {
		if len(cs) != 2 || cs[0].Client.Netns == cs[1].Client.Netns || cs[0].Client.PID == cs[1].Client.PID ||
			cs[0].Server.PID == cs[1].Server.PID || !cs[0].openBetween(cs[1].Opened, cs[1].Closed) {
			t.Errorf("%v: %+v", tuple, cs)
		}
	}
}

// perfectReport makes a correct report without names.
func perfectReport(conns []Conn) Report {
	var rep Report
	for _, c := range conns {
		if c.Established {
			rep.Connections = append(rep.Connections, reportConn(c))
		}
	}
	return rep
}

func TestOnlyTheGatewayTracks(t *testing.T) {
	l := newLab(t)
	held, err := l.Hold(t.Context(), Pattern{Kind: DNATSNAT, Count: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range held.Conns() {
		if !c.Closed.IsZero() {
			t.Error("closed while held:", c)
		}
	}
	for _, ns := range []Netns{l.Client, l.Gateway, l.Server, l.DNS} {
		n, err := ns.readSysctl("netfilter/nf_conntrack_count")
		if err != nil {
			t.Fatal(err)
		}
		if want := 3; ns == l.Gateway && n < want || ns != l.Gateway && n != 0 {
			t.Errorf("%s tracks %d connections", ns.Name, n)
		}
	}
	conns, err := held.Release(t.Context())
	if err != nil || len(conns) != 3 {
		t.Fatal(len(conns), err)
	}
	for _, c := range conns {
		if c.Closed.IsZero() {
			t.Error("open after release:", c)
		}
	}
}

// Half-open connections have the states SYN_SENT and SYN_RECV in the gateway, by
// conntrack(8) if it is installed.
func TestHalfOpenStates(t *testing.T) {
	if _, err := exec.LookPath("conntrack"); err != nil {
		t.Skip(err)
	}
	l := newLab(t)
	if _, err := l.Run(t.Context(), Plan{Patterns: []Pattern{{Kind: HalfOpen, Count: 2}}}); err != nil {
		t.Fatal(err)
	}
	out, err := l.Command(l.Gateway, "conntrack", "-L").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SYN_SENT", "SYN_RECV"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no flow in %s:\n%s", want, out)
		}
	}
}

func TestLoad(t *testing.T) {
	l := newLab(t)
	for _, o := range []LoadOptions{
		{Count: 2000},
		{Count: 500, Rate: 1000, Record: true},
		{Duration: 300 * time.Millisecond, Kind: IPv6, Reset: true},
		{Duration: 500 * time.Millisecond, Rate: 1000, Kind: DNAT},
	} {
		r, err := l.Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v: %d made, %.0f/s, p50 %v, p99 %v", o, r.Made, r.PerSecond, r.P50, r.P99)
		if r.Failed > 0 || r.Made == 0 || o.Count > 0 && r.Made != o.Count || o.Record && len(r.Truth) != o.Count {
			t.Errorf("%+v: %+v", o, r)
		}
		for _, c := range r.Truth {
			checkConn(t, l, c)
		}
	}
	if _, err := l.Load(t.Context(), LoadOptions{Count: 1 << 30}); err == nil || !strings.Contains(err.Error(), "nf_conntrack_max") {
		t.Error("a load beyond the conntrack table:", err)
	}
}

func TestContextClosesTheLab(t *testing.T) {
	if err := usable(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l, err := New(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := l.Close(); err != nil { // waits for the Close that runs
		t.Fatal(err)
	}
	if _, err := os.Stat(l.Gateway.path()); !os.IsNotExist(err) {
		t.Error("the gateway is left:", err)
	}
}

// A program that builds a lab leaves no namespaces, for any end of the program.
func TestProgramEnds(t *testing.T) {
	if err := usable(); err != nil {
		t.Skip(err)
	}
	for _, how := range []string{"SIGTERM", "SIGINT", "SIGKILL", "panic"} {
		t.Run(how, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+how)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			prefix, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if how != "panic" {
				cmd.Process.Signal(unix.SignalNum(how))
			}
			cmd.Wait()
			if st := cmd.ProcessState.Sys().(syscall.WaitStatus); how != "panic" && st.Signal() != unix.SignalNum(how) {
				t.Errorf("ended by %v", cmd.ProcessState)
			}
			left := func() bool {
				return slices.ContainsFunc(namespaces(t), func(n string) bool { return strings.HasPrefix(n, strings.TrimSpace(prefix)) })
			}
			if how != "panic" && how != "SIGKILL" && left() {
				t.Error("namespaces are left")
			}
			for end := time.Now().Add(3 * time.Second); left(); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("namespaces are left 3 s later")
				}
			}
		})
	}
}
