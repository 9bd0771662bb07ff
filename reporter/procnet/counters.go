package procnet

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// The names of counters. The first word is the file's or the line's, the second one is the kernel's name.
const (
	ConntrackDrop         = "nf_conntrack drop"
	ConntrackEarlyDrop    = "nf_conntrack early_drop"
	ConntrackInsertFailed = "nf_conntrack insert_failed"
	TCPActiveOpens        = "Tcp ActiveOpens"
	TCPPassiveOpens       = "Tcp PassiveOpens"
	ListenDrops           = "TcpExt ListenDrops"
	ListenOverflows       = "TcpExt ListenOverflows"
	SoftnetDropped        = "softnet dropped"
)

// maxCounterText is the size of the largest file that Counters reads, in bytes. A host with 4,096 CPUs has smaller ones.
const maxCounterText = 1 << 20

// maxCPUs is how many lines of a file are read. The kernel supports 8,192 CPUs.
const maxCPUs = 8 << 10

// A Counter is one value of a file of counters. It only grows, until it wraps around or is reset.
type Counter struct {
	Name string // of the list above
	// CPU is the number of the CPU, 0 in files without a line for each CPU. Lines without a number, which are in the
	// order of the CPUs that are online, have a CPU of their own for each number of lines.
	CPU   uint64
	Value uint64
}

// Compare orders counters by CPU and name.
func (c Counter) Compare(o Counter) int {
	if c.CPU != o.CPU {
		return cmp.Compare(c.CPU, o.CPU)
	}
	return strings.Compare(c.Name, o.Name)
}

// Counters returns the counters in the text of a file of /proc, sorted, each once. It returns nil for files that it does not
// know, and for texts of more than maxCounterText bytes. It skips lines and columns that it cannot read.
func Counters(file string, text []byte) (list []Counter) {
	if len(text) > maxCounterText {
		return nil
	}
	switch file {
	case "/proc/net/stat/nf_conntrack":
		list = perCPU(text)
	case "/proc/net/softnet_stat":
		list = softnet(text)
	case "/proc/net/snmp", "/proc/net/netstat":
		list = named(text)
	}
	slices.SortStableFunc(list, Counter.Compare)
	return slices.CompactFunc(list, func(a, b Counter) bool { return a.Compare(b) == 0 })
}

// perCPU reads a line of names and a line of hexadecimal numbers for each possible CPU (ct_cpu_seq_show of
// net/netfilter/nf_conntrack_standalone.c).
func perCPU(text []byte) (list []Counter) {
	var columns []string // "" is not used
	cpu := uint64(0)
	for line := range bytes.Lines(text) {
		if columns == nil {
			columns = used("nf_conntrack", line)
			continue
		}
		if cpu == maxCPUs {
			break
		}
		column := 0
		for w := range bytes.FieldsSeq(line) {
			if column == len(columns) {
				break
			}
			if name := columns[column]; name != "" {
				if v, ok := hexNumber(w); ok {
					list = append(list, Counter{name, cpu, v})
				}
			}
			column++
		}
		cpu++
	}
	return list
}

// softnet reads a line of hexadecimal numbers for each CPU that is online (softnet_seq_show of net/core/net-procfs.c). The
// second one is the packets that were dropped, the 13th the number of the CPU, since Linux 5.10.
func softnet(text []byte) (list []Counter) {
	lines, numbered := uint64(0), true
	for line := range bytes.Lines(text) {
		if lines == maxCPUs {
			break
		}
		words, cpu := bytes.Fields(line), lines
		lines++
		if len(words) < 2 {
			continue
		}
		dropped, ok := hexNumber(words[1])
		if len(words) < 13 {
			numbered = false
		} else if n, isNumber := hexNumber(words[12]); isNumber {
			cpu = n
		}
		if ok {
			list = append(list, Counter{SoftnetDropped, cpu, dropped})
		}
	}
	for i := 0; i < len(list) && !numbered; i++ {
		list[i].CPU |= lines << 32
	}
	return list
}

// named reads pairs of lines with the same first word: names, then decimal numbers (snmp_seq_show_tcp_udp and
// netstat_seq_show of net/ipv4/proc.c).
func named(text []byte) (list []Counter) {
	var prefix []byte
	var columns []string
	for line := range bytes.Lines(text) {
		first, rest := word(line)
		if prefix == nil || !bytes.Equal(first, prefix) {
			if prefix = bytes.Clone(first); len(first) > 0 {
				columns = used(string(first[:len(first)-1]), rest)
			}
			continue
		}
		prefix = nil
		for i, w := range bytes.Fields(rest) {
			if i >= len(columns) || columns[i] == "" {
				continue
			}
			if v, ok := decimal(w); ok {
				list = append(list, Counter{Name: columns[i], Value: v})
			}
		}
	}
	return list
}

// used returns the counter of each column of a line of names, "" for columns that are not used.
func used(prefix string, names []byte) []string {
	columns := []string{}
	for w := range bytes.FieldsSeq(names) {
		name := prefix + " " + string(w)
		if !slices.Contains(counterNames[:], name) {
			name = ""
		}
		columns = append(columns, name)
	}
	return columns
}

var counterNames = [...]string{ConntrackDrop, ConntrackEarlyDrop, ConntrackInsertFailed, TCPActiveOpens, TCPPassiveOpens, ListenDrops, ListenOverflows}

// hexNumber reads a hexadecimal number of up to 64 bits.
func hexNumber(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	var bad byte
	for _, c := range b {
		d := hexDigits[c]
		bad |= d
		v = v<<4 | uint64(d&0xf)
	}
	return v, bad&notHex == 0
}
