package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rules make a namespace track the flows over its loopback device. Some of them are
// translated, marked or put into zones.
const rules = `
table inet t {
 chain c1 { type filter hook output priority 0; ct state new,established,related counter accept; }
 chain c2 { type nat hook output priority -100; tcp dport 81 redirect to :80; }
 chain c3 { type filter hook output priority -10; tcp dport 80 ct mark set 7; }
 chain c4 { type filter hook output priority raw; udp dport 99 ct zone set 5; udp sport 99 ct original zone set 6; }
 chain c5 { type filter hook prerouting priority raw; udp dport 99 ct zone set 5; udp sport 99 ct zone set 5; }
}`

// namespace makes a network namespace with the rules and returns its name and a
// function that makes commands run in it.
func namespace(t *testing.T) (name string, in func(name string, args ...string) *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make a network namespace")
	}
	for _, tool := range []string{"ip", "nft", "conntrack", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: tools/deps.sh installs it", tool)
		}
	}
	name = fmt.Sprintf("topotape-%d", os.Getpid())
	must := func(cmd *exec.Cmd) {
		t.Helper()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", cmd, err, out)
		}
	}
	must(exec.Command("ip", "netns", "add", name))
	t.Cleanup(func() { must(exec.Command("ip", "netns", "del", name)) })
	in = func(tool string, args ...string) *exec.Cmd {
		return exec.Command("ip", append([]string{"netns", "exec", name, tool}, args...)...)
	}
	must(exec.Command("ip", "-n", name, "link", "set", "lo", "up"))
	nft := in("nft", "-f", "-")
	nft.Stdin = strings.NewReader(rules)
	must(nft)
	must(in("sysctl", "-q", "net.netfilter.nf_conntrack_acct=1", "net.netfilter.nf_conntrack_timestamp=1"))
	return name, in
}

// within calls f on a thread that is in the namespace and exits afterwards.
func within(t *testing.T, namespace string, f func() error) {
	t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread exits with the goroutine
		fd, err := os.Open("/run/netns/" + namespace)
		if err == nil {
			err = unix.Setns(int(fd.Fd()), unix.CLONE_NEWNET)
			fd.Close()
		}
		if err == nil {
			err = f()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// converse makes flows of several protocols, in both families.
func converse() error {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(addr, "80"))
		if err != nil {
			return err
		}
		for _, port := range []string{"80", "81"} {
			c, err := net.Dial("tcp", net.JoinHostPort(addr, port))
			if err != nil {
				return err
			}
			s, err := l.Accept()
			if err != nil {
				return err
			}
			c.Write([]byte("x"))
			s.Read(make([]byte, 1))
			s.Close()
			c.Close()
		}
		l.Close()
		net.Dial("tcp", net.JoinHostPort(addr, "9")) // nothing listens there
		for _, port := range []int{53, 99} {
			s, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(addr), Port: port})
			if err != nil {
				return err
			}
			c, err := net.DialUDP("udp", nil, s.LocalAddr().(*net.UDPAddr))
			if err != nil {
				return err
			}
			c.Write([]byte("x"))
			if _, from, err := s.ReadFrom(make([]byte, 1)); err == nil {
				s.WriteTo([]byte("y"), from)
			}
			s.Close()
			c.Close()
		}
	}
	for proto, packet := range map[int][]byte{
		unix.IPPROTO_ICMP: echo(),
		unix.IPPROTO_GRE:  {0, 0, 8, 0, 0, 0, 0, 0},
		200:               []byte("unknown"),
	} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
		if err != nil {
			return err
		}
		err = unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

// echo returns an ICMP echo request with id 77.
func echo() []byte {
	b := []byte{8, 0, 0, 0, 0, 77, 0, 1}
	sum := uint32(8<<8) + 77 + 1
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
	return b
}

// Every line of a conntrack record equals the line that the conntrack tool prints for
// the same event or the same entry of the table.
func TestConntrackLinesAreTheTools(t *testing.T) {
	name, in := namespace(t)
	dir := t.TempDir()
	var listed, events bytes.Buffer
	tool := in("conntrack", "-E", "-o", "id,timestamp,extended")
	tool.Stdout = &events
	if err := tool.Start(); err != nil {
		t.Fatal(err)
	}
	defer tool.Process.Kill()
	within(t, name, converse)
	list := in("conntrack", "-L", "-o", "id,extended")
	list.Stdout = &listed
	if err := list.Run(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	record := in(self, "record", "--sources", "conntrack", "-o", "x.tape", "--min-free", "0")
	record.Env, record.Dir = append(os.Environ(), programEnv+"=1"), dir
	begin(t, record, "x.tape")
	within(t, name, converse)
	if err := in("conntrack", "-D").Run(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	record.Process.Signal(syscall.SIGINT)
	if err := record.Wait(); err != nil {
		t.Fatal(err)
	}
	tool.Process.Signal(syscall.SIGINT)
	tool.Wait()
	tape, err := os.ReadFile(filepath.Join(dir, "x.tape"))
	if err != nil {
		t.Fatal(err)
	}
	var got, dumped []string
	for line := range strings.Lines(string(catTo(t, "x.tape", tape, "text"))) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		const prefix = 44 // columns of number, time and kind
		switch f[2] {
		case "conntrack":
			got = append(got, line[prefix:])
		case "conntrack_dump_entry":
			dumped = append(dumped, line[prefix:])
		}
	}
	var want []string
	for line := range strings.Lines(events.String()) {
		_, line, _ = strings.Cut(line, "\t")
		want = append(want, line)
	}
	if len(got) < 40 || len(want) < len(got) {
		t.Fatalf("%d events on tape, the tool saw %d", len(got), len(want))
	}
	want = want[len(want)-len(got):] // the tool started first
	for i := range got {
		if got[i] != withoutProgram(want[i]) {
			t.Errorf("event %d:\n%swant\n%s", i, got[i], want[i])
		}
	}
	entries := strings.SplitAfter(listed.String(), "\n")
	if len(dumped) < 5 {
		t.Errorf("%d entries dumped", len(dumped))
	}
	for _, line := range dumped {
		found := false
		for _, entry := range entries {
			found = found || sameButTime(line, entry)
		}
		if !found {
			t.Errorf("no such entry in the tool's list:\n%s%s", line, &listed)
		}
	}
}

// withoutProgram removes the name of the process that caused an event: the
// kernel's message has only its port ID.
func withoutProgram(line string) string {
	if at := strings.Index(line, " progname="); at >= 0 {
		return line[:at] + "\n"
	}
	return line
}

// sameButTime compares two lines without the values that change with time: an entry's
// remaining seconds and its age.
func sameButTime(a, b string) bool {
	still := func(s string) string {
		f := strings.Fields(s)
		if len(f) > 4 {
			f[4] = ""
		}
		kept := f[:0]
		for _, w := range f {
			if !strings.HasPrefix(w, "delta-time=") {
				kept = append(kept, w)
			}
		}
		return strings.Join(kept, " ")
	}
	return still(a) == still(b)
}
