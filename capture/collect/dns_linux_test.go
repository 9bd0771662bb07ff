package collect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/topotape/topotape/capture"
)

// dnsLab is a namespace of the test's thread and one of a child that runs
// dnsmasq, joined by a veth pair.
func dnsLab(t *testing.T) *child {
	t.Helper()
	c := startChild(t)
	if _, err := exec.LookPath("dnsmasq"); err != nil {
		t.Skip("needs dnsmasq")
	}
	inNetns(t)
	c.do("lo")
	run(t, "ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", strconv.Itoa(c.pid))
	for i, do := range []func(args ...string){
		func(args ...string) { run(t, "ip", args...) },
		func(args ...string) { c.run("ip", args...) },
	} {
		dev := []string{"near", "far"}[i]
		for _, s := range []string{
			"link set DEV mtu 1280 up", "addr add 10.5.0.N/24 dev DEV", "addr add fd05::N/64 dev DEV nodad",
		} {
			do(strings.Fields(strings.NewReplacer("DEV", dev, "N", strconv.Itoa(i+1)).Replace(s))...)
		}
	}
	big := "--txt-record=big.test"
	for range 12 {
		big += "," + strings.Repeat("x", 200)
	}
	cmd := exec.Command("nsenter", "-t", strconv.Itoa(c.pid), "-n", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts",
		"--no-resolv", "--pid-file=", "--user=root", "--edns-packet-max=4096", "--address=/small.test/10.1.2.3", big)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "10.5.0.2:53"); err == nil {
			conn.Close()
			return c
		} else if time.Now().After(deadline) {
			t.Fatalf("dnsmasq does not come up: %v", err)
		}
	}
}

// question asks for the records of that type, with EDNS and 4096 bytes.
func question(id uint16, name string, kind uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	b = append(b, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1)
	for _, label := range strings.Split(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, 0, 0, byte(kind), 0, 1)
	return append(b, 0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0)
}

func ask(t *testing.T, network, server string, q []byte) []byte {
	t.Helper()
	conn, err := net.Dial(network, net.JoinHostPort(server, "53"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if network == "tcp" {
		q = append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)
	}
	if _, err := conn.Write(q); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n := 0
	for {
		m, err := conn.Read(b[n:])
		if n += m; err != nil {
			t.Fatalf("%s %s: %v after %d bytes", network, server, err, n)
		}
		if network == "udp" || n > 2 && n >= 2+int(binary.BigEndian.Uint16(b)) {
			return b[:n]
		}
	}
}

func dnsPackets(t *testing.T, records []capture.Record) (list []capture.DNS) {
	t.Helper()
	for _, r := range records {
		if r.Kind == capture.KindDNS {
			list = append(list, decodeTo[capture.DNS](t, r))
		}
	}
	return list
}

func TestDNSRecordsEveryPacket(t *testing.T) {
	dnsLab(t)
	near, _ := net.InterfaceByName("near")
	d := NewDNS(DNSConfig{Source: 2, Clock: testClock()})
	r := record(t, d, nil)
	type exchange struct {
		name, network, server string
		question, answer      []byte
	}
	var all []exchange
	for i, network := range []string{"udp", "tcp"} {
		for j, server := range []string{"10.5.0.2", "fd05::2"} {
			for k, name := range []string{"small.test", "big.test"} {
				q := question(uint16(0x4000+100*i+10*j+k), name, []uint16{1, 16}[k])
				all = append(all, exchange{fmt.Sprintf("%s by %s from %s", name, network, server), network, server, q, ask(t, network, server, q)})
			}
		}
	}
	// Nothing of this is DNS.
	conn, _ := net.Dial("udp", "10.5.0.2:5353")
	conn.Write([]byte("not DNS"))
	conn.Close()
	time.Sleep(50 * time.Millisecond)
	records := r.stop(t)
	packets := dnsPackets(t, records)
	if s := decodeTo[capture.Source](t, records[0]); records[0].Kind != capture.KindSource || s.Netns == 0 || s.Snaplen != 4096 || s.Buffer == 0 {
		t.Errorf("source %+v", s)
	}
	fragments := 0
	for _, x := range all {
		find := func(direction uint8, what []byte) bool {
			for _, p := range packets {
				if p.Direction == direction && int(p.Interface) == near.Index && bytes.Contains(p.Packet, what) {
					return true
				}
			}
			return false
		}
		if !find(capture.DirectionOut, x.question) {
			t.Errorf("%s: no question", x.name)
		}
		// The answer comes in pieces: its first bytes, and its last ones.
		head, tail := x.answer, x.answer
		if len(head) > 1000 {
			head, tail = head[2:600], tail[len(tail)-300:]
		}
		if x.network == "udp" && len(x.answer) > 2000 {
			fragments++
		}
		if !find(capture.DirectionIn, head) || !find(capture.DirectionIn, tail) {
			t.Errorf("%s: no answer of %d bytes", x.name, len(x.answer))
		}
	}
	if fragments != 2 {
		t.Errorf("%d answers of 2 came by UDP in fragments", fragments)
	}
	for _, p := range packets {
		if int(p.Length) != len(p.Packet) || bytes.Contains(p.Packet, []byte("not DNS")) {
			t.Errorf("packet of %d bytes, %d kept: %q", p.Length, len(p.Packet), p.Packet)
		}
	}
	if s := d.Stats(); s.Received != uint64(len(packets)) || s.Lost != 0 || s.Why != "" {
		t.Errorf("%d packets, stats %+v", len(packets), s)
	}
}

// The kernel removes the outer tag of an incoming frame and leaves the inner one.
func TestDNSPassesTaggedFrames(t *testing.T) {
	c := startChild(t)
	inNetns(t)
	run(t, "ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", strconv.Itoa(c.pid))
	run(t, "ip", "link", "set", "near", "up")
	c.run("ip", "link", "set", "far", "up")
	r := record(t, NewDNS(DNSConfig{Clock: testClock()}), nil)
	var want []string
	for _, tags := range []string{"", "81000005", "88a8400581006007", "8100600581004007"} {
		for _, ip := range [][]byte{
			packet4(protoUDP, 0, 0, false, toDNS), packet6(protoUDP, toDNS), packet4(protoUDP, 0, 0, false, web), packet6(protoTCP, web),
		} {
			etherType := "0800"
			if ip[0] == 0x60 {
				etherType = "86dd"
			}
			c.do("frame far 020000000002020000000001%s%s%x", tags, etherType, ip)
			if bytes.Contains(ip, toDNS[:4]) {
				inner := ""
				if len(tags) == 16 {
					inner = tags[12:] + etherType
				}
				want = append(want, fmt.Sprintf("%s%x", inner, ip))
			}
		}
	}
	r.until(t, "8 packets", has(capture.KindDNS, len(want)))
	time.Sleep(20 * time.Millisecond)
	var got []string
	for _, p := range dnsPackets(t, r.stop(t)) {
		got = append(got, fmt.Sprintf("%x", p.Packet))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("packets (-want +got):\n%s", d)
	}
}

func TestDNSCountsWhatIsLost(t *testing.T) {
	inNetns(t)
	d := NewDNS(DNSConfig{Clock: testClock(), Buffer: 4096})
	block := make(chan bool)
	first := true
	r := record(t, d, func(*Batch) {
		if !first {
			<-block
		}
		first = false
	})
	conn, err := net.Dial("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	sent := uint64(0)
	for i := range 5000 {
		// No server listens: the answer is an ICMP error, which is no DNS packet,
		// and makes the next write fail.
		if _, err := conn.Write(question(uint16(i), "lost.test", 1)); err == nil {
			sent++
		}
	}
	conn.Close()
	close(block)
	time.Sleep(100 * time.Millisecond)
	records := r.stop(t)
	var lost uint64
	for _, rec := range records {
		if rec.Kind == capture.KindGap {
			g := decodeTo[capture.Gap](t, rec)
			if lost += g.Lost; !g.Exact || g.Why == "" || g.Since <= 0 || g.Since > rec.At {
				t.Errorf("gap %+v", g)
			}
		}
	}
	kept := uint64(len(dnsPackets(t, records)))
	if s := d.Stats(); lost == 0 || lost != s.Lost || kept != s.Received || !strings.Contains(s.Why, "lost") {
		t.Errorf("lost %d, kept %d, stats %+v", lost, kept, s)
	}
	if kept+lost != 2*sent { // loopback shows each packet twice
		t.Errorf("%d kept and %d lost of %d", kept, lost, 2*sent)
	}
}

func TestDNSCutsAtTheSnaplen(t *testing.T) {
	inNetns(t)
	r := record(t, NewDNS(DNSConfig{Clock: testClock(), Snaplen: 100}), nil)
	conn, err := net.Dial("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	conn.Write(make([]byte, 1000))
	conn.Close()
	r.until(t, "packets", has(capture.KindDNS, 2))
	packets := dnsPackets(t, r.stop(t))
	for i, want := range []uint8{capture.DirectionOut, capture.DirectionIn} {
		if p := packets[i]; p.Direction != want || len(p.Packet) != 100 || p.Length != 1028 || p.Interface != 1 {
			t.Errorf("packet %d: direction %d, %d of %d bytes, interface %d", i, p.Direction, len(p.Packet), p.Length, p.Interface)
		}
	}
}
