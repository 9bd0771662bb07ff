package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/live"
	"github.com/topotape/topotape/capture/tape"
	"golang.org/x/sys/unix"
)

// enterNetns runs f on a thread in the network namespace of a process.
func enterNetns(t *testing.T, pid int, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		ns, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
		if err != nil {
			t.Error(err)
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// inOwnNetns makes the program run in a network namespace of its own, whose
// loopback interface is up and tracked.
func inOwnNetns(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const prepare = "ip link set lo up && nft 'table inet t { chain c { type filter hook output priority 0; ct state new counter; }; }' && exec \"$0\" \"$@\""
	shell := exec.Command("sh", append([]string{"-c", prepare, self}, cmd.Args[1:]...)...)
	shell.Env, shell.Dir = cmd.Env, cmd.Dir
	shell.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	return shell
}

// flood sends UDP packets of 1,000 random bytes to port 53 of loopback until quit
// is closed, and returns how many.
func flood(t *testing.T, quit <-chan struct{}) (sent uint64) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer unix.Close(fd)
	rng := rand.NewChaCha8([32]byte{1})
	packet := make([]byte, 1000)
	to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 53}
	for {
		select {
		case <-quit:
			return sent
		default:
		}
		rng.Read(packet)
		if unix.Sendto(fd, packet, 0, to) == nil {
			sent++
		}
	}
}

// ctaSourcePort is CTA_PROTO_SRC_PORT of linux/netfilter/nfnetlink_conntrack.h.
const ctaSourcePort = 2

// A visit is a short TCP connection.
type visit struct {
	port uint16 // of the client
	at   time.Time
}

// visits makes a connection every 100 ms until quit is closed.
func visits(t *testing.T, quit <-chan struct{}) (list []visit) {
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer unix.Close(l)
	unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	unix.Listen(l, 100)
	server, _ := unix.Getsockname(l)
	for {
		select {
		case <-quit:
			return list
		case <-time.After(100 * time.Millisecond):
		}
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return nil
		}
		at := time.Now()
		if err := unix.Connect(c, server); err != nil {
			t.Error(err)
		}
		client, _ := unix.Getsockname(c)
		list = append(list, visit{uint16(client.(*unix.SockaddrInet4).Port), at})
		if s, _, err := unix.Accept(l); err == nil {
			unix.Close(s)
		}
		unix.Close(c)
	}
}

// A flood of garbage to the DNS port neither ends the recording nor delays the
// others, and what it loses is counted to the packet.
func TestFloodOfOneSourceLeavesTheOthersAlone(t *testing.T) {
	const maxSize, duration, interval = 8 << 20, 8 * time.Second, 500 * time.Millisecond
	cmd := inOwnNetns(t, program(t, "record", "-o", "a.tape", "--min-free", "0", "--max-size", "8MiB",
		"--duration", duration.String(), "--interval", interval.String(), "--proc-interval", "1s"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begin(t, cmd, "a.tape")
	quit := make(chan struct{})
	time.AfterFunc(5*time.Second, func() { close(quit) })
	var sent uint64
	var made []visit
	var traffic sync.WaitGroup
	traffic.Go(func() { enterNetns(t, cmd.Process.Pid, func() { sent = flood(t, quit) }) })
	traffic.Go(func() { enterNetns(t, cmd.Process.Pid, func() { made = visits(t, quit) }) })
	traffic.Wait()
	if code := exitCode(cmd.Wait()); code != exitLoss {
		t.Errorf("exit code %d", code)
	}
	t.Logf("%d packets sent, %d connections\n%s", sent, len(made), &stderr)

	f, err := os.Open(filepath.Join(cmd.Dir, "a.tape"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if st, _ := f.Stat(); st.Size() > maxSize {
		t.Errorf("%d bytes of tape", st.Size())
	}
	r, err := tape.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	started := time.Unix(0, r.Header().Start)
	var packets, lost, ticks, gaps uint64
	lastTick, lastWalk := time.Duration(0), time.Duration(0)
	seen := map[uint16]time.Time{}
	short := map[int]int{}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		at := time.Duration(rec.At)
		switch rec.Kind {
		case capture.KindDNS:
			var p capture.DNS
			if err := rec.Decode(&p); err != nil || p.Length != 1028 {
				t.Fatalf("packet %+v: %v", p, err)
			}
			packets++
			short[len(p.Packet)]++
		case capture.KindGap:
			var g capture.Gap
			if err := rec.Decode(&g); err != nil || rec.Source != 3 || !g.Exact || g.Since <= 0 || g.Since > rec.At || rec.At-g.Since > int64(interval+2*time.Second) {
				t.Errorf("gap %+v of source %d at %v: %v", g, rec.Source, at, err)
			}
			lost += g.Lost
			gaps++
		case capture.KindTick:
			if gap := at - lastTick; gap > interval+2*time.Second {
				t.Errorf("tick %d comes %v after the one before", ticks+1, gap)
			}
			lastTick = at
			ticks++
		case capture.KindWalkEnd:
			lastWalk = at
		case capture.KindConntrack:
			for _, v := range made {
				if _, ok := seen[v.port]; !ok && bytes.Contains(rec.Payload, binary.BigEndian.AppendUint16([]byte{ctaSourcePort, 0}, v.port)) {
					seen[v.port] = started.Add(at)
				}
			}
		case capture.KindEnd:
			var end capture.End
			if rec.Decode(&end); !strings.Contains(end.Why, "duration") || len(end.Totals) != len(live.DefaultSources()) {
				t.Errorf("end %+v", end)
			}
		}
	}
	if packets+lost != 2*sent || packets == 0 || lost == 0 { // loopback shows each packet twice
		t.Errorf("%d recorded and %d lost of %d", packets, lost, 2*sent)
	}
	if gaps > 2*uint64(duration/interval)+2 || lastWalk < duration-2*time.Second {
		t.Errorf("%d gaps, the last walk ended at %v", gaps, lastWalk)
	}
	for _, v := range made {
		if late := seen[v.port].Sub(v.at); late < -50*time.Millisecond || late > 2*time.Second {
			t.Errorf("events of port %d came after %v", v.port, late)
		}
	}
	if len(made) < 20 || short[1028] == 0 || short[512] == 0 || short[128] == 0 {
		t.Errorf("%d connections, packets by length %v", len(made), short)
	}
}
