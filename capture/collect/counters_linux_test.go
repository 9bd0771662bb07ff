package collect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A walk does not read a table while the counters are equal, so every event that
// changes a table must change a counter of its namespace. With -v the test prints
// which event changes which counter.
func TestEveryEventMovesACounter(t *testing.T) {
	for _, f := range []struct{ name, addr, server, far, client, listener string }{
		{"IPv4", "127.0.0.1", "127.0.0.1", "10.9.9.2", "inuse", "inuse"},
		{"IPv6", "::1", "::1", "fd99::2", "inuse6", "inuse6"},
		{"IPv4 to a dual-stack server", "127.0.0.1", "::", "10.9.9.2", "inuse", "inuse6"},
	} {
		t.Run(f.name, func(t *testing.T) {
			c, other := startChild(t), startChild(t)
			fs, err := openProcfs("/proc")
			if err != nil {
				t.Fatal(err)
			}
			defer fs.close()
			c.do("lo")
			withSilentNeighbour(c)
			last, lastOther := settled(t, fs, c), settled(t, fs, other)
			step := func(want, event, command string) {
				t.Helper()
				if command != "" {
					c.do("%s", command)
				}
				now := settled(t, fs, c)
				got := moved(last, now)
				t.Logf("%-46s %s", event, strings.Join(got, " "))
				for _, w := range strings.Fields(want) {
					if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, w) }) {
						t.Errorf("%s: %s does not move", event, w)
					}
				}
				if want == "" && len(got) > 0 {
					t.Errorf("%s: moves", event)
				}
				if changed := last != now; changed != (len(got) > 0) {
					t.Errorf("%s: moves %v, compared: %v", event, got, changed)
				}
				last = now
			}
			step(f.listener, "listener opened", "listen l "+at(f.server, 80))
			step("ActiveOpens PassiveOpens CurrEstab InSegs OutSegs "+f.client+" "+f.listener, "connected, in the backlog", "connect c "+at(f.addr, 80))
			step("", "accepted", "accept s l")
			step("InSegs OutSegs", "data", "send c")
			step("", "data read", "recv s")
			step("CurrEstab InSegs OutSegs", "client half closed", "half c")
			step("CurrEstab InSegs OutSegs tw "+f.listener, "server closed: the client's TIME_WAIT", "close s")
			step("", "client's descriptor closed", "close c")
			step("ActiveOpens CurrEstab "+f.client, "connected again", "connect c2 "+at(f.addr, 80))
			step("", "accepted", "accept s2 l")
			step("EstabResets CurrEstab "+f.client+" "+f.listener, "reset by the client", "reset c2")
			step("", "server's descriptor closed", "close s2")
			step("ActiveOpens CurrEstab "+f.client, "connected, in the backlog", "connect c3 "+at(f.addr, 80))
			step("CurrEstab InSegs OutSegs", "closed before it was accepted", "close c3")
			step(f.listener+" InSegs", "listener closed with that in its backlog", "close l")
			if refused := c.try("connect r %s", at(f.addr, 81)); !strings.Contains(refused, "refused") {
				t.Errorf("connect to a closed port: %s", refused)
			}
			step("ActiveOpens AttemptFails InSegs OutSegs", "connection refused", "")
			step("ActiveOpens OutSegs "+f.client, "SYN into the void: SYN_SENT", "start f "+at(f.far, 80))
			step(f.client, "SYN_SENT closed", "close f")
			step(f.listener, "listener opened", "listen l "+at(f.server, 83))
			c.run("nft", "add table inet t; add chain inet t c { type filter hook input priority 0; }; "+
				"add rule inet t c tcp dport 83 tcp flags & (fin|syn|rst|ack) == ack drop")
			step("ActiveOpens InSegs OutSegs "+f.client, "handshake's last ACK lost: SYN_RECV", "connect h "+at(f.addr, 83))
			if d := moved(lastOther, settled(t, fs, other)); len(d) > 0 {
				t.Errorf("another namespace's counters move: %v", d)
			}
		})
	}
}

// withSilentNeighbour gives the namespace a neighbour that never answers.
func withSilentNeighbour(c *child) {
	c.run("ip", "link", "add", "far0", "type", "veth", "peer", "name", "far1")
	for _, args := range []string{
		"link set far0 up", "link set far1 up", "addr add 10.9.9.1/24 dev far0", "addr add fd99::1/64 dev far0 nodad",
		"neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev far0", "neigh add fd99::2 lladdr 02:00:00:00:00:02 dev far0",
	} {
		c.run("ip", strings.Fields(args)...)
	}
}

// settled waits until the counters stop changing (delayed ACKs).
func settled(t *testing.T, fs *procfs, c *child) counters {
	t.Helper()
	var last counters
	for range 100 {
		now, err := fs.counters(uint32(c.pid), nil)
		if err != nil || !now.known {
			t.Fatalf("counters %+v: %v", now, err)
		}
		if now == last {
			return now
		}
		last = now
		time.Sleep(60 * time.Millisecond)
	}
	t.Fatal("the counters never rest")
	return last
}

// moved returns which counters differ, and by how much.
func moved(a, b counters) (list []string) {
	names := strings.Fields("Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab " +
		"InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors")
	before, after := strings.Fields(a.tcp), strings.Fields(b.tcp)
	for i := range min(len(before), len(after)) {
		if before[i] != after[i] {
			var x, y int
			fmt.Sscan(before[i], &x)
			fmt.Sscan(after[i], &y)
			list = append(list, fmt.Sprintf("%s%+d", names[i], y-x))
		}
	}
	for _, n := range []struct {
		name string
		a, b uint64
	}{{"inuse", a.inuse, b.inuse}, {"inuse6", a.inuse6, b.inuse6}, {"tw", a.tw, b.tw}} {
		if n.a != n.b {
			list = append(list, fmt.Sprintf("%s%+d", n.name, int64(n.b-n.a)))
		}
	}
	return list
}
