package collect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/procnet"
	"github.com/topotape/topotape/reporter/sockdiag"
	"golang.org/x/sys/unix"
)

// diagProc walks these children only, by sock_diag.
func diagProc(t testing.TB, children ...*child) *Proc {
	t.Helper()
	p := openProc(t, ProcConfig{Root: onlyThese(t, children...)})
	p.UseSockDiag()
	if !p.diag.usable {
		t.Fatal("sock_diag is not used")
	}
	return p
}

// populate makes listeners, connections of both families, an IPv4-mapped one, half-closed ones and a backlog: 2*n sockets
// and some.
func populate(c *child, n int) {
	c.do("lo")
	c.do("listen l4 127.0.0.1:80")
	c.do("listen l6 [::]:443")
	for i := range n {
		c.do("connect a%d 127.0.0.1:80", i)
		c.do("accept b%d l4", i)
	}
	c.do("connect c6 [::1]:443")
	c.do("accept d6 l6")
	c.do("connect mapped 127.0.0.1:443")
	c.do("accept mapped2 l6")
	c.do("connect half 127.0.0.1:80")
	c.do("accept half2 l4")
	c.do("half half")
	c.do("connect waiting 127.0.0.1:80")
}

// A walk by sock_diag records the tables of each namespace as netlink messages, and leaves the thread where it was. The
// socket does not keep the namespace alive.
func TestTablesBySockDiag(t *testing.T) {
	c, other := startChild(t), startChild(t)
	populate(c, 2)
	other.do("lo")
	other.do("listen l 127.0.0.1:81")
	p := diagProc(t, c, other)
	before := netnsInode()
	rows := map[string]int{}
	for _, r := range walkRecords(t, p) {
		switch r.Kind {
		case capture.KindSocketTable:
			table := decodeTo[capture.SocketTable](t, r)
			if table.Netns == before || table.Netns == 0 || table.ReadStart > table.ReadEnd || table.ReadEnd > r.At || table.More || table.Interrupted {
				t.Errorf("%+v", table)
			}
			rows[fmt.Sprint(table.Netns == namespaceOf(t, c), " ", table.Table)] += countMessages(t, table.Messages)
		case capture.KindProcNet:
			t.Error("a table was read from /proc")
		}
	}
	// c: l4, 2*2 of l4, half, half2, waiting and its backlog, mapped; and l6, c6, d6, mapped2
	if got := fmt.Sprint(rows); got != fmt.Sprint(map[string]int{"true tcp": 10, "true tcp6": 4, "false tcp": 1, "false tcp6": 0}) {
		t.Errorf("rows: %s", got)
	}
	if now := netnsInode(); now != before {
		t.Errorf("the thread is in namespace %d, it was in %d", now, before)
	}
	if got := walkOnce(t, p); !strings.Contains(strings.Join(got, ", "), "tcp unchanged, tcp6 unchanged") {
		t.Errorf("second walk: %v", got)
	}
	for _, fd := range openFiles(t) {
		if strings.Contains(fd, fmt.Sprintf("net:[%d]", namespaceOf(t, c))) {
			t.Error("the namespace of a child is still open")
		}
	}
}

func namespaceOf(t *testing.T, c *child) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", c.pid), &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func openFiles(t *testing.T) (links []string) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		link, _ := os.Readlink("/proc/self/fd/" + e.Name())
		links = append(links, link)
	}
	return links
}

func countMessages(t *testing.T, b []byte) (n int) {
	t.Helper()
	for ; len(b) > 0; n++ {
		var msg []byte
		if msg, b = nextMessage(b); len(msg) < 88 || msg[4] != 20 {
			t.Fatalf("%x is no message about a socket", msg)
		}
	}
	return n
}

// Both ways of reading show the same sockets: established, listening, half-closed and waiting ones, IPv6 and IPv4-mapped.
func TestSameRowsBothWays(t *testing.T) {
	c := startChild(t)
	populate(c, 3)
	read := func(diag bool) (rows []string) {
		p := openProc(t, ProcConfig{Root: onlyThese(t, c)})
		if diag {
			p.UseSockDiag()
		}
		for _, r := range walkRecords(t, p) {
			switch r.Kind {
			case capture.KindProcNet:
				table := decodeTo[capture.ProcNet](t, r)
				scan := procnet.NewScanner(table.Text, bigEndian)
				for w := (procnet.Row{}); scan.Next(&w); {
					rows = append(rows, fmt.Sprint(table.Netns, table.Table, w))
				}
			case capture.KindSocketTable:
				table := decodeTo[capture.SocketTable](t, r)
				scan := sockdiag.NewScanner(table.Messages, bigEndian)
				for w := (sockdiag.Row{}); scan.Next(&w); {
					rows = append(rows, fmt.Sprint(table.Netns, table.Table, w.Row))
				}
			}
		}
		slices.Sort(rows)
		return rows
	}
	text, diag := read(false), read(true)
	for range 100 { // the answers to the last FINs may be on their way
		if slices.Equal(text, diag) {
			break
		}
		time.Sleep(10 * time.Millisecond)
		text, diag = read(false), read(true)
	}
	if d := cmp.Diff(text, diag); d != "" {
		t.Errorf("(-/proc +sock_diag):\n%s", d)
	}
	all := strings.Join(diag, "\n")
	for _, state := range []string{"ESTABLISHED", "LISTEN", "CLOSE_WAIT", "FIN_WAIT2", "[::1]:443", "tcp6{127.0.0.1:443"} {
		if !strings.Contains(all, state) {
			t.Errorf("no row has %s:\n%s", state, all)
		}
	}
}

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// A table that is larger than a part is recorded in parts, cut at messages.
func TestSockDiagInParts(t *testing.T) {
	c := startChild(t)
	populate(c, 400)
	p := diagProc(t, c)
	out := make(chan *Batch, 64)
	w := &walk{Proc: p, ctx: t.Context(), q: newQueue(2, out), fs: p.fs, text: make([]byte, diagRoom+8<<10)}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, ok, err := w.diagTable(namespaceOf(t, c), "tcp", []uint32{uint32(c.pid)}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	w.q.flush()
	close(out)
	parts, rows, more := uint32(0), 0, true
	for b := range out {
		for _, r := range b.Records {
			table := decodeTo[capture.SocketTable](t, r)
			rows += countMessages(t, table.Messages)
			if parts++; table.Part != parts-1 || !more {
				t.Errorf("part %d, number %d, more %v after %d rows", parts, table.Part, more, rows)
			}
			more = table.More
		}
	}
	if parts < 3 || rows != 806 || more {
		t.Errorf("%d rows in %d parts", rows, parts)
	}
}

// Where sock_diag fails, the tables are read from /proc: where a namespace cannot be entered, where the process is in
// another one, and after an answer that is an error.
func TestSockDiagFallsBack(t *testing.T) {
	f := newFakeProc(t) // its ns/net are no namespaces
	f.process(100, 100, "init", 100)
	p := f.proc()
	p.UseSockDiag()
	expect(t, p, "begin 1", "tcp 1 rows", "tcp6 0 rows", "owners 100:init[100]", "end 1: 1 processes, 1 namespaces")

	c := startChild(t)
	p = diagProc(t, c)
	if _, err := p.diag.socket(p.fs, namespaceOf(t, c)+1, uint32(c.pid)); err != errVanished {
		t.Errorf("a socket in the wrong namespace: %v", err)
	}
	d := diagDump{walk: &walk{Proc: p}}
	for name, message := range map[string][]byte{
		"an error":         {20, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff},
		"a failed dump":    {20, 0, 0, 0, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff},
		"no header at all": {1, 2, 3},
	} {
		if _, _, err := d.messages(message); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
	done := []byte{20, 0, 0, 0, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	row := append([]byte{88, 0, 0, 0, 20, 0, 0x12, 0}, make([]byte, 80)...)
	if whole, end, err := d.messages(append(bytes.Clone(row), done...)); whole != 88 || !end || err != nil || d.rows != 1 || !d.table.Interrupted {
		t.Errorf("%d bytes, end %v, %v, %d rows, interrupted %v", whole, end, err, d.rows, d.table.Interrupted)
	}
}

// A thread that cannot return from another namespace is not used again by the runtime, and no other namespace is entered.
func TestThreadThatCannotReturn(t *testing.T) {
	c := startChild(t)
	p := diagProc(t, c)
	before, tid := netnsInode(), make(chan int)
	go func() {
		runtime.LockOSThread()
		defer p.unlock()
		p.diag.home.Close()
		p.diag.home, _ = os.Open("/proc/self/stat") // no namespace
		if fd, err := p.diag.socket(p.fs, namespaceOf(t, c), uint32(c.pid)); err == nil || fd >= 0 || p.diag.usable || netnsInode() == before {
			t.Errorf("fd %d, %v, usable %v, in namespace %d", fd, err, p.diag.usable, netnsInode())
		}
		tid <- unix.Gettid()
	}()
	strayed := <-tid
	for range 50 {
		done := make(chan bool)
		go func() {
			runtime.LockOSThread() // a thread of its own for each
			if netnsInode() != before || unix.Gettid() == strayed {
				t.Error("a goroutine runs in another namespace")
			}
			done <- true
		}()
		<-done
	}
}

// BenchmarkTable reads a table of 1,000 connections, and the tables of a namespace without sockets, both ways.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{0, 1000} {
		c := startChild(b)
		if n > 0 {
			c.do("lo")
			c.do("listen l 127.0.0.1:80")
			for i := range n / 2 {
				c.do("connect a%d 127.0.0.1:80", i)
				c.do("accept b%d l", i)
			}
		}
		for _, diag := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/diag=%v", n, diag), func(b *testing.B) {
				p := openProc(b, ProcConfig{Root: onlyThese(b, c)})
				if diag {
					p.UseSockDiag()
				}
				out := make(chan *Batch, 4)
				w := &walk{Proc: p, ctx: b.Context(), q: newQueue(2, out), fs: p.fs, text: make([]byte, maxPart)}
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				netns, err := p.fs.netns(uint32(c.pid))
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := w.table(netns, "tcp", []uint32{uint32(c.pid)}); err != nil {
						b.Fatal(err)
					}
					w.q.flush()
					(<-out).Release()
				}
			})
		}
	}
}
