package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter/ctmsg"
	"github.com/topotape/topotape/reporter/dnsmsg"
)

// packetsOf writes the tape as cat --format pcapng does. It returns the file's name
// and the kinds of records that were left out.
func packetsOf(t *testing.T, tape []byte) (file, left string) {
	t.Helper()
	var out bytes.Buffer
	tapes, records := replay.Records([]replay.Input{inputOf("x", tape)}, replay.Window{})
	c := newCatter(nil, &out, "pcapng", tapes)
	if err := c.run(records); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "x.pcapng")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, c.packets.LeftOut()
}

// tshark runs tshark on the file and returns its lines. The only message allowed on
// standard error is that it runs as root.
func tshark(t *testing.T, file string, args ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("needs tshark, Debian's package tshark")
	}
	cmd := exec.Command("tshark", append([]string{"-n", "-r", file}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	for line := range strings.Lines(stderr.String()) {
		if !strings.HasPrefix(line, `Running as user "root"`) {
			t.Errorf("tshark says %s", line)
		}
	}
	text := strings.TrimSuffix(stdout.String(), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// tshark shows of a recorded tape what its records have: the number of packets, DNS
// names and answers, tuples and ids of conntrack messages, directions.
func TestTsharkReadsARecordedTape(t *testing.T) {
	tape, err := os.ReadFile("../../fixtures/lab-gateway/capture.tape")
	if err != nil {
		t.Fatal(err)
	}
	file, left := packetsOf(t, tape)
	counts := map[capture.Kind]int{}
	for _, r := range intact(t, tape)[0] {
		counts[r.kind]++
	}
	for _, kind := range []capture.Kind{capture.KindSocketTable, capture.KindTick} {
		if want := fmt.Sprintf("%d %s", counts[kind], kind); counts[kind] == 0 || !strings.Contains(left, want) {
			t.Errorf("left out %q, want %s", left, want)
		}
	}
	if strings.Contains(left, "conntrack,") || strings.Contains(left, " dns") {
		t.Errorf("left out %q", left)
	}
	var flows, names, directions []string
	var m ctmsg.Message
	var p dnsmsg.Packet
	var q dnsmsg.Message
	for _, r := range intact(t, tape)[0] {
		rec := capture.Record{Kind: r.kind, Payload: []byte(r.payload)}
		switch r.kind {
		case capture.KindConntrack:
			if err := m.Decode(rec.Payload, false); err != nil {
				t.Fatal(err)
			}
			flows = append(flows, fmt.Sprintf("%d %d,%d", m.ID, m.Orig.Src().Port(), m.Reply.Src().Port()))
		case capture.KindDNS:
			var d capture.DNS
			if err := rec.Decode(&d); err != nil {
				t.Fatal(err)
			}
			directions = append(directions, fmt.Sprint(d.Direction))
			if p.Decode(d.Packet) == nil && p.Proto == dnsmsg.UDP && q.Decode(p.Payload) == nil {
				names = append(names, q.QuestionName(q.Questions[0]))
			}
		}
	}
	const dump = 2 // its request and its NLMSG_DONE
	if got := tshark(t, file); len(got) != len(flows)+len(directions)+dump {
		t.Errorf("%d packets, want %d, %d and %d", len(got), len(flows), len(directions), dump)
	}
	if got := tshark(t, file, "-Y", "_ws.malformed"); len(got) > 0 {
		t.Errorf("malformed: %q", got)
	}
	fields := func(filter string, names ...string) (list []string) {
		args := []string{"-Y", filter, "-T", "fields", "-E", "separator= "}
		for _, n := range names {
			args = append(args, "-e", n)
		}
		return tshark(t, file, args...)
	}
	var got []string
	for _, line := range fields("netlink-netfilter.ct_attr.id", "netlink-netfilter.ct_attr.id", "netlink-netfilter.nfct_tuple.proto.src_port") {
		id, ports, _ := strings.Cut(line, " ")
		n := uint32(0)
		fmt.Sscan(id, &n)
		if ports == "" { // no ports
			ports = "0,0"
		}
		got = append(got, fmt.Sprintf("%d %s", n, ports))
	}
	if !slices.Equal(got, flows) {
		t.Errorf("flows %q\nwant %q", got, flows)
	}
	if got := fields("dns && udp", "dns.qry.name"); !slices.Equal(got, names) {
		t.Errorf("names %q\nwant %q", got, names)
	}
	if got := fields("ip || ipv6", "frame.packet_flags_direction"); !slices.Equal(canonical(got), directions) {
		t.Errorf("directions %q\nwant %q", got, directions)
	}
}

// canonical prints numbers in one way, because versions of tshark differ in that.
func canonical(list []string) (out []string) {
	for _, s := range list {
		n := 0
		fmt.Sscanf(strings.TrimPrefix(s, "0x"), "%x", &n)
		out = append(out, fmt.Sprint(n))
	}
	return out
}

const packetScript = `{"tape":{"host_id":"host1","host_name":"host1","start":"2026-01-02T03:04:05Z","local_networks":[],"note":"a note"%s}}
{"at":"0s","host":{"id":"host1","name":"host1","kernel":"6.18","interfaces":[{"index":2,"name":"eth0","addresses":[]}]}}
{"at":"0s","source":{"number":1,"kind":"conntrack"}}
{"at":"0s","source":{"number":2,"kind":"proc"}}
{"at":"0s","source":{"number":3,"kind":"dns","snaplen":4096}}
{"at":"1s","mark":{"text":"bug visible"}}
{"at":"1s","conntrack":{"type":"update","id":8,"state":"ESTABLISHED","orig":{"proto":"tcp","src":"10.0.0.1","dst":"10.0.0.2","sport":5000,"dport":443}}}
{"at":"2s","gap":{"source":"conntrack","lost":42,"why":"buffer full"}}
{"at":"2s","gap":{"source":"proc","lost":1}}
{"at":"3s","dns":{"message":"AAGBgAABAAEAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQABA3d3dwdleGFtcGxlA2NvbQAAAQABAAABLAAEXbjYIg==","src":"2001:db8::53","dst":"2001:db8::7","direction":"out","interface":2,"length":500}}
{"at":"3s","conntrack_dump":{"phase":"begin"}}
{"at":"3s","conntrack":{"type":"dump","id":9,"orig":{"proto":"udp","src":"2001:db8::1","dst":"2001:db8::2","sport":5000,"dport":53}}}
{"at":"3s","conntrack":{"type":"update","id":9,"orig":{"proto":"udp","src":"10.0.0.1","dst":"10.0.0.2","sport":5000,"dport":53}},"raw":"AAECAw=="}
{"at":"4s","clock":{"step":"1h"}}
{"at":"5s","dns":{"packet":"","direction":"in","interface":7}}
{"at":"6s","mark":{"text":"the last"}}
{"at":"6s","tick":{}}
`

// The tapes have both byte orders, follow one another in one file, and contain the
// hard cases: a gap, a truncated packet, an empty one, a malformed message, marks, a
// step of the clock.
func TestTsharkReadsHardCases(t *testing.T) {
	for _, big := range []string{"", `,"big_endian":true`} {
		text := fmt.Sprintf(packetScript, big)
		var tape bytes.Buffer
		if err := script.Build(&tape, strings.NewReader(text+text), script.Options{}); err != nil {
			t.Fatal(err)
		}
		file, left := packetsOf(t, tape.Bytes())
		if left != "2 gap of proc, 2 tick" {
			t.Errorf("left out %q", left)
		}
		got := tshark(t, file, "-T", "fields", "-E", "separator=|", "-e", "frame.time_epoch", "-e", "frame.interface_name", "-e", "frame.cap_len", "-e", "frame.len",
			"-e", "netlink-netfilter.nfct_tuple.ip.ip_addr", "-e", "netlink-netfilter.nfct_tuple.ip.ip6_addr", "-e", "dns.a", "-e", "frame.comment")
		one := []string{
			"1767323046.000000000|conntrack|172|172|10.0.0.1,10.0.0.2,10.0.0.2,10.0.0.1|||mark: bug visible",
			"1767323048.000000000|eth0|112|500|||93.184.216.34|",
			"1767323048.000000000|conntrack|36|36||||",
			"1767323048.000000000|conntrack|204|204||2001:db8::1,2001:db8::2,2001:db8::2,2001:db8::1||",
			"1767323048.000000000|conntrack|20|20||||",
			"1767326650.000000000|interface 7|0|0||||",
		}
		if want := append(one, one...); !slices.Equal(got, want) {
			t.Errorf("packets\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
