package sockdiag

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/topotape/topotape/reporter/procnet"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func scan(b []byte, bigEndian bool) (rows []Row, malformed int) {
	s := NewScanner(b, bigEndian)
	for r := (Row{}); s.Next(&r); {
		rows = append(rows, r)
	}
	return rows, s.Malformed()
}

// The answers of sock_diag have the rows of the text of /proc/net, in the same order. They are from one namespace with
// listeners, connections of both families, IPv4-mapped ones, half-closed ones, TIME_WAIT and a backlog. Every row has a
// cgroup but those of connections that the kernel closes without a socket.
func TestSameRowsAsProcNet(t *testing.T) {
	for _, table := range []string{"tcp", "tcp6"} {
		rows, malformed := scan(read(t, table+".diag"), false)
		text := procnet.NewScanner(read(t, table), false)
		var want []procnet.Row
		for r := (procnet.Row{}); text.Next(&r); {
			want = append(want, r)
		}
		var got []procnet.Row
		for _, r := range rows {
			got = append(got, r.Row)
			gone := r.State == procnet.TimeWait || r.State == procnet.FinWait2 && r.Inode == 0
			if (r.Cgroup == 0) != gone || r.Cookie == 0 {
				t.Errorf("%s: cgroup %d, cookie %d of %v", table, r.Cgroup, r.Cookie, r.Row)
			}
		}
		if malformed != 0 || len(want) < 10 || !slices.Equal(got, want) {
			t.Errorf("%s: %d malformed\n got %v\nwant %v", table, malformed, got, want)
		}
	}
}

// randomRow returns a row that both families can have, or only IPv6.
func randomRow(rng *rand.Rand) (r Row, ipv6 bool) {
	addr := func() netip.AddrPort {
		var a [16]byte
		for i := range a {
			a[i] = byte(rng.Uint32())
		}
		ip := netip.AddrFrom4([4]byte(a[:]))
		if ipv6 && rng.IntN(2) == 0 {
			ip = netip.AddrFrom16(a).Unmap()
		}
		return netip.AddrPortFrom(ip, uint16(rng.Uint32()))
	}
	ipv6 = rng.IntN(2) == 0
	r = Row{procnet.Row{Local: addr(), Remote: addr(), State: procnet.State(1 + rng.IntN(11)), UID: rng.Uint32(), Inode: uint64(rng.Uint32())},
		rng.Uint64(), rng.Uint64() >> (64 * rng.IntN(2))}
	return r, ipv6
}

// Rows that are written are read again as they were, on hosts of both byte orders, whatever messages of netlink itself are
// between them.
func TestWrittenAndRead(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, bigEndian := range []bool{false, true} {
		done := make([]byte, 20)
		order(bigEndian).PutUint32(done, 20)
		order(bigEndian).PutUint16(done[4:], 3)
		var b []byte
		var want []Row
		for range 500 {
			r, ipv6 := randomRow(rng)
			want = append(want, r)
			b = append(r.Append(b, ipv6, bigEndian), done...)
		}
		if got, malformed := scan(b, bigEndian); malformed != 0 || !slices.Equal(got, want) {
			t.Errorf("big endian %v: %d malformed, %d rows", bigEndian, malformed, len(got))
		}
	}
}

// What is no row is counted, and the next message is read, if the length shows where it begins.
func TestMalformed(t *testing.T) {
	one, two := read(t, "tcp.diag"), read(t, "tcp6.diag")
	first := one[:binary.LittleEndian.Uint32(one)]
	rows, _ := scan(one, false)
	rows2, _ := scan(two, false)
	edit := func(at int, v ...byte) []byte {
		b := slices.Clone(first)
		copy(b[at:], v)
		return b
	}
	for name, test := range map[string]struct {
		b         []byte
		malformed int
		lost      bool // what follows too
	}{
		"nothing":             {nil, 0, false},
		"zeros":               {make([]byte, 40), 1, true},
		"a length too large":  {edit(0, 0xff, 0xff, 0xff, 0xff), 1, true},
		"a length of 15":      {edit(0, 15, 0, 0, 0), 1, true},
		"another type":        {edit(4, 21), 1, false},
		"another family":      {edit(16, 1), 1, false},
		"an attribute of 3":   {edit(88, 3, 0), 1, false},
		"an attribute of 4 K": {edit(88, 0, 16), 1, false},
		"a short cgroup":      {edit(88, 5, 0, 21, 0), 1, false},
	} {
		got, malformed := scan(append(slices.Clone(test.b), two...), false)
		want := rows2
		if test.lost {
			want = nil
		}
		if malformed != test.malformed || !slices.Equal(got, want) {
			t.Errorf("%s: %d malformed, rows %v", name, malformed, got)
		}
	}
	for n := range one { // a cut loses the row that is cut, and no other
		got, malformed := scan(one[:n], false)
		if !slices.Equal(got, rows[:len(got)]) || malformed > 1 {
			t.Fatalf("cut at %d: %d malformed, rows %v", n, malformed, got)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	b := read(t, "tcp6.diag")
	if n := testing.AllocsPerRun(100, func() {
		s := NewScanner(b, false)
		for r := (Row{}); s.Next(&r); {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The message is about the client of a connection that sent 1,000 bytes, received 300 and closed first.
func TestCapturedClose(t *testing.T) {
	var c Close
	if err := c.Decode(read(t, "closed"), false); err != nil {
		t.Fatal(err)
	}
	if c.Remote != netip.MustParseAddrPort("127.0.0.1:8080") || c.Cookie == 0 || !c.Counted || c.Sent != 1000+2 || c.Received != 300 ||
		c.SegmentsOut < 4 || c.SegmentsIn < 3 || c.Retransmitted != 0 || c.RTT <= 0 || c.RTT > 1e9 {
		t.Errorf("%+v", c)
	}
}

func TestCloseWrittenAndRead(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for i := range 500 {
		r, _ := randomRow(rng)
		c := Close{Local: r.Local, Remote: r.Remote, Cookie: r.Cookie}
		if i%3 > 0 {
			c.Counted, c.Sent, c.Received, c.RTT = true, rng.Uint64(), rng.Uint64(), 1000*int64(rng.Uint32())
			c.SegmentsOut, c.SegmentsIn, c.Retransmitted = rng.Uint32(), rng.Uint32(), rng.Uint32()
		}
		b := c.Append(nil, i%2 > 0)
		var got Close
		if err := got.Decode(b, i%2 > 0); err != nil || got != c {
			t.Fatalf("%+v, %v; want %+v", got, err, c)
		}
		if got.Decode(append(b, 0), i%2 > 0) == nil || got.Decode(b[:rng.IntN(len(b))], i%2 > 0) == nil {
			t.Fatal("a message of another length was read")
		}
	}
}

func FuzzScanner(f *testing.F) {
	f.Add(read(f, "tcp.diag"), false)
	f.Add(read(f, "tcp6.diag"), false)
	f.Add(read(f, "closed"), false)
	f.Add((&Close{Counted: true, Sent: 1}).Append(nil, true), true)
	f.Fuzz(func(t *testing.T, b []byte, bigEndian bool) {
		rows, malformed := scan(b, bigEndian)
		if most := len(b)/headerLen + 1; len(rows)+malformed > most {
			t.Fatalf("%d rows and %d malformed in %d bytes", len(rows), malformed, len(b))
		}
		// Rows that are written and read again are the same.
		var out []byte
		for i := range rows {
			out = rows[i].Append(out, true, bigEndian)
		}
		if back, bad := scan(out, bigEndian); bad != 0 || !slices.Equal(back, rows) {
			t.Fatalf("%v written and read: %v", rows, back)
		}
		var c Close
		if c.Decode(b, bigEndian) != nil {
			return
		}
		var again Close
		if err := again.Decode(c.Append(nil, bigEndian), bigEndian); err != nil || again != c {
			t.Fatalf("%+v written and read: %+v, %v", c, again, err)
		}
	})
}
