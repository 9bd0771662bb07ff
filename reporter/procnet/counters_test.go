package procnet

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func counterTexts(list []Counter) string {
	var out []string
	for _, c := range list {
		out = append(out, fmt.Sprintf("%s@%d=%d", c.Name, c.CPU, c.Value))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// The texts are those of Linux 2.6.32, 4.4, 5.4 and 6.1.
func TestCountersOfKernels(t *testing.T) {
	for _, test := range []struct{ name, file, text, want string }{
		{"stat of 6.1", "/proc/net/stat/nf_conntrack",
			"entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n" +
				"00000007  00000000 00000000 00000000 0000002a 00000000 00000000 00000000 00000000 00000003 000000d4 00000005 00000000  00000000 00000000 00000000 00000000\n" +
				"00000007  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 ffffffff 00000000 00000000  00000000 00000000 00000000 00000000\n",
			"nf_conntrack drop@0=212, nf_conntrack drop@1=4294967295, nf_conntrack early_drop@0=5, nf_conntrack early_drop@1=0, nf_conntrack insert_failed@0=3, nf_conntrack insert_failed@1=0"},
		{"stat of 2.6.32", "/proc/net/stat/nf_conntrack",
			"entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete\n" +
				"00000001  00000002 00000003 00000004 00000005 00000006 00000007 00000008 00000009 0000000a 0000000b 0000000c 0000000d  0000000e 0000000f 00000010 \n",
			"nf_conntrack drop@0=11, nf_conntrack early_drop@0=12, nf_conntrack insert_failed@0=10"},
		{"snmp", "/proc/net/snmp",
			"Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails\nTcp: 1 200 120000 -1 3999 17 4\nUdp: InDatagrams\nUdp: 5\n",
			"Tcp ActiveOpens@0=3999, Tcp PassiveOpens@0=17"},
		{"netstat, without a last newline", "/proc/net/netstat",
			"TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits\nTcpExt: 0 41 42 9",
			"TcpExt ListenDrops@0=42, TcpExt ListenOverflows@0=41"},
		{"softnet of 5.10 and later: with CPU numbers", "/proc/net/softnet_stat",
			"000002a5 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n" +
				"000002a5 00000002 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000003 00000000 00000000\n",
			"softnet dropped@0=1, softnet dropped@3=2"},
		{"softnet of 4.4: without", "/proc/net/softnet_stat",
			"000002a5 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n" +
				"000002a5 00000002 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n",
			fmt.Sprintf("softnet dropped@%d=1, softnet dropped@%d=2", uint64(2)<<32, uint64(2)<<32|1)},
		{"another file", "/proc/sys/net/netfilter/nf_conntrack_count", "17\n", ""},
		{"no file", "/proc/net/snmp", "", ""},
		{"values without names", "/proc/net/stat/nf_conntrack", "00000001 00000002\n00000003 00000004\n", ""},
		{"fewer and more values than names", "/proc/net/stat/nf_conntrack", "x drop y early_drop\n1 2\n1 2 3 4 5 6\n", "nf_conntrack drop@0=2, nf_conntrack drop@1=2, nf_conntrack early_drop@1=4"},
		{"names without values", "/proc/net/snmp", "Tcp: ActiveOpens\nTcpExt: ListenDrops\nTcpExt: 3\n", "TcpExt ListenDrops@0=3"},
		{"values that are no numbers", "/proc/net/snmp", "Tcp: ActiveOpens PassiveOpens\nTcp: -1 0x10\nTcp: ActiveOpens\nTcp: 18446744073709551616\n", ""},
		{"the largest number", "/proc/net/snmp", "Tcp: ActiveOpens\nTcp: 18446744073709551615\n", "Tcp ActiveOpens@0=18446744073709551615"},
		{"a name twice", "/proc/net/snmp", "Tcp: ActiveOpens ActiveOpens\nTcp: 1 2\n", "Tcp ActiveOpens@0=1"},
		{"a CPU twice", "/proc/net/softnet_stat", strings.Repeat("1 5 0 0 0 0 0 0 0 0 0 0 7\n", 2), "softnet dropped@7=5"},
	} {
		if got := counterTexts(Counters(test.file, []byte(test.text))); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

// The files of a host with 4,096 CPUs are read, larger texts are not.
func TestCountersOfManyCPUs(t *testing.T) {
	const cpus = 4096
	text := []byte("entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n")
	for range cpus {
		text = append(text, strings.Repeat("00000001 ", 17)+"\n"...)
	}
	if list := Counters("/proc/net/stat/nf_conntrack", text); len(list) != 3*cpus || len(text) > maxCounterText {
		t.Errorf("%d counters of %d bytes", len(list), len(text))
	}
	many := append([]byte("drop\n"), bytes.Repeat([]byte("1\n"), 100_000)...)
	if list := Counters("/proc/net/stat/nf_conntrack", many); len(list) != maxCPUs {
		t.Errorf("%d counters of too many CPUs", len(list))
	}
	if list := Counters("/proc/net/softnet_stat", bytes.Repeat([]byte("1 1\n"), 100_000)); len(list) != maxCPUs {
		t.Errorf("%d counters of too many CPUs", len(list))
	}
	if list := Counters("/proc/net/snmp", append([]byte("Tcp: ActiveOpens\nTcp: 1\n"), make([]byte, maxCounterText)...)); list != nil {
		t.Errorf("%d counters of a text that is too large", len(list))
	}
}

func FuzzCounters(f *testing.F) {
	for _, text := range []string{"x drop\n1 2\n", "Tcp: ActiveOpens\nTcp: 3\n", "TcpExt: ListenDrops\nTcpExt: 3\n", "1 2 3\n", "1 2 0 0 0 0 0 0 0 0 0 0 7\n", ":\n:\n", "\xff \x00\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, file := range []string{"/proc/net/stat/nf_conntrack", "/proc/net/snmp", "/proc/net/netstat", "/proc/net/softnet_stat", "/proc/x"} {
			list := Counters(file, text)
			if len(list) > len(counterNames)*maxCPUs || !slices.IsSortedFunc(list, Counter.Compare) {
				t.Fatalf("%s: %d counters, or not sorted", file, len(list))
			}
			for _, c := range list {
				if c.Name == "" || c.CPU == math.MaxUint64 && file != "/proc/net/softnet_stat" {
					t.Fatalf("%s: %+v", file, c)
				}
			}
		}
	})
}
