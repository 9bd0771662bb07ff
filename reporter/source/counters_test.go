package source

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/report"
)

func statFile(drops ...uint64) capture.CounterFile {
	text := "entries insert_failed drop early_drop\n"
	for _, n := range drops {
		text += fmt.Sprintf("00000001 00000000 %08x 00000000\n", n)
	}
	return capture.CounterFile{Name: "/proc/net/stat/nf_conntrack", Text: []byte(text)}
}

func listenFile(overflows, drops uint64) capture.CounterFile {
	return capture.CounterFile{Name: "/proc/net/netstat", Text: fmt.Appendf(nil, "TcpExt: ListenOverflows ListenDrops\nTcpExt: %d %d\n", overflows, drops)}
}

func snmpFile(active, passive uint64) capture.CounterFile {
	return capture.CounterFile{Name: "/proc/net/snmp", Text: fmt.Appendf(nil, "Tcp: ActiveOpens PassiveOpens\nTcp: %d %d\n", active, passive)}
}

func eventTexts(list []report.HostEvent) string {
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s %d", e.What, e.Count))
	}
	return strings.Join(out, ", ")
}

// Events are what counters grew by since the last record of their file and namespace. What is not
// known to have grown is no event.
func TestCountersShowWhatHappened(t *testing.T) {
	for name, test := range map[string]struct {
		records []capture.Counters
		want    string // the events of the last record
	}{
		"the first record":    {[]capture.Counters{{Files: []capture.CounterFile{statFile(7)}}}, ""},
		"growth of all CPUs":  {[]capture.Counters{{Files: []capture.CounterFile{statFile(1, 2)}}, {Files: []capture.CounterFile{statFile(3, 7)}}}, "nf_conntrack drop 7"},
		"one CPU was reset":   {[]capture.Counters{{Files: []capture.CounterFile{statFile(9, 2)}}, {Files: []capture.CounterFile{statFile(1, 7)}}}, "nf_conntrack drop 5"},
		"one CPU wrapped":     {[]capture.Counters{{Files: []capture.CounterFile{statFile(math.MaxUint32, 2)}}, {Files: []capture.CounterFile{statFile(3, 2)}}}, ""},
		"a CPU is new":        {[]capture.Counters{{Files: []capture.CounterFile{statFile(1)}}, {Files: []capture.CounterFile{statFile(1, 1000)}}}, ""},
		"a CPU is gone":       {[]capture.Counters{{Files: []capture.CounterFile{statFile(1, 5)}}, {Files: []capture.CounterFile{statFile(2)}}}, "nf_conntrack drop 1"},
		"another file":        {[]capture.Counters{{Files: []capture.CounterFile{statFile(1)}}, {Files: []capture.CounterFile{snmpFile(1, 1)}}, {Files: []capture.CounterFile{statFile(3)}}}, "nf_conntrack drop 2"},
		"another namespace":   {[]capture.Counters{{Netns: 1, Files: []capture.CounterFile{statFile(1)}}, {Netns: 2, Files: []capture.CounterFile{statFile(9)}}}, ""},
		"a file was gone":     {[]capture.Counters{{Files: []capture.CounterFile{statFile(1)}}, {Files: []capture.CounterFile{{Name: statFile().Name}}}, {Files: []capture.CounterFile{statFile(9)}}}, ""},
		"a file is no text":   {[]capture.Counters{{Files: []capture.CounterFile{statFile(1)}}, {Files: []capture.CounterFile{{Name: statFile().Name, Text: []byte("\xff\x00\n\x1b")}}}}, ""},
		"a file is too large": {[]capture.Counters{{Files: []capture.CounterFile{listenFile(1, 1)}}, {Files: []capture.CounterFile{{Name: listenFile(0, 0).Name, Text: append(listenFile(5, 5).Text, make([]byte, 1<<20)...)}}}}, ""},
		"sums do not wrap":    {[]capture.Counters{{Netns: 1, Files: []capture.CounterFile{listenFile(0, 0)}}, {Netns: 1, Files: []capture.CounterFile{listenFile(math.MaxUint64, 0), listenFile(0, 0), listenFile(9, 0)}}}, fmt.Sprintf("TcpExt ListenOverflows %d", uint64(math.MaxUint64))},
		"only overflows":      {[]capture.Counters{{Files: []capture.CounterFile{listenFile(1, 1)}}, {Files: []capture.CounterFile{listenFile(4, 4)}}}, "TcpExt ListenOverflows 3"},
		"also other drops":    {[]capture.Counters{{Files: []capture.CounterFile{listenFile(1, 1)}}, {Files: []capture.CounterFile{listenFile(4, 5)}}}, "TcpExt ListenDrops 4, TcpExt ListenOverflows 3"},
		"no files":            {[]capture.Counters{{}}, ""},
	} {
		var c Counters
		var events []report.HostEvent
		for i := range test.records {
			events, _, _ = c.Add(&test.records[i], int64(i))
		}
		if got := eventTexts(events); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// The events of all records together are the growth from the first record to the last one,
// whichever intermediate values the records have.
func TestCountersAddUp(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 9))
		drops := make([]uint64, 1+rng.IntN(4096/(1+int(seed))))
		var c Counters
		var first, sum uint64
		for i := range 20 {
			for cpu := range drops {
				grown := uint64(rng.IntN(3))
				drops[cpu] += grown
				if i == 0 {
					first += grown
				}
			}
			if i > 0 && i < 19 && rng.IntN(3) == 0 {
				continue // the recorder missed an interval
			}
			events, _, _ := c.Add(&capture.Counters{Files: []capture.CounterFile{statFile(drops...)}}, 0)
			for _, e := range events {
				sum += e.Count
			}
		}
		total := uint64(0)
		for _, n := range drops {
			total += n
		}
		if sum != total-first {
			t.Fatalf("seed %d, %d CPUs: %d drops, want %d", seed, len(drops), sum, total-first)
		}
	}
}

// Any number of namespaces with many CPUs needs bounded memory.
func TestCountersAreBounded(t *testing.T) {
	var c Counters
	for netns := range uint64(3000) {
		c.Add(&capture.Counters{Netns: netns, Files: []capture.CounterFile{statFile(make([]uint64, 100)...), snmpFile(1, 2), {Name: fmt.Sprint("/proc/", netns), Text: []byte("1\n")}}}, 0)
	}
	if len(c) > maxCounterFiles || c.total() > maxCounters || len(c) < 100 {
		t.Errorf("%d files, %d counters", len(c), c.total())
	}
	if !slices.IsSortedFunc(c, counterFile.compare) {
		t.Error("the files are not sorted")
	}
}

// BenchmarkCounters applies the records of a host with 4,096 CPUs.
func BenchmarkCounters(b *testing.B) {
	var c Counters
	p := capture.Counters{Files: []capture.CounterFile{statFile(make([]uint64, 4096)...), snmpFile(1, 2), listenFile(1, 2)}}
	for b.Loop() {
		c.Add(&p, 0)
	}
}
