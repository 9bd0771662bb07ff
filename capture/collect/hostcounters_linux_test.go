package collect

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
)

// readings returns the names of the files that changed, and their texts.
func readings(c *capture.Counters) (names []string, text map[string]string) {
	text = map[string]string{}
	if c == nil {
		return nil, text
	}
	for _, f := range c.Files {
		names = append(names, f.Name)
		text[f.Name] = string(f.Text)
	}
	return names, text
}

func writeSysctl(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/netfilter/"+name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

func TestHostCountersShowWhatChangedInTheirNamespace(t *testing.T) {
	inNetns(t)
	h := OpenHostCounters()
	defer h.Close()
	c := h.Changed()
	names, text := readings(c)
	if c.Netns != netnsInode() || len(names) != len(counterFiles) {
		t.Errorf("first reading of namespace %d: %v", c.Netns, names)
	}
	for _, f := range counterFiles {
		lines := strings.SplitAfter(text[f.name], "\n")
		whole := lines[len(lines)-1] == "" && len(lines) > 1
		foreign := slices.ContainsFunc(lines[:len(lines)-1], func(l string) bool { return !strings.HasPrefix(l, f.prefix) })
		if !whole || foreign || f.prefix != "" && len(lines) != 3 {
			t.Errorf("%s: %q", f.name, text[f.name])
		}
	}
	const events, snmp = "/proc/sys/net/netfilter/nf_conntrack_events", "/proc/net/snmp"
	writeSysctl(t, "nf_conntrack_events", "0")
	load(t, 3)
	names, text = readings(h.Changed())
	if text[events] != "0\n" || !slices.Contains(names, snmp) || !slices.Contains(names, "/proc/sys/net/netfilter/nf_conntrack_count") ||
		slices.Contains(names, "/proc/sys/net/netfilter/nf_conntrack_max") {
		t.Errorf("after connections: %v, events %q", names, text[events])
	}
	if fields := strings.Fields(text[snmp]); fields[len(fields)/2+5] != "3" { // ActiveOpens
		t.Errorf("snmp: %q", text[snmp])
	}
	names, _ = readings(h.Changed())
	if slices.Contains(names, snmp) || slices.Contains(names, events) {
		t.Errorf("without a change: %v", names)
	}
}

func TestFileThatAppearsOrVanishesIsNoticed(t *testing.T) {
	path := t.TempDir() + "/f"
	f := newRereadable(path)
	defer f.close()
	buf := make([]byte, 100)
	if text := f.read(buf); text != nil {
		t.Errorf("missing file: %q", text)
	}
	os.WriteFile(path, []byte("1\n"), 0o600)
	if text := f.read(buf); string(text) != "1\n" {
		t.Errorf("new file: %q", text)
	}
	// The kernel refuses to read a setting of a module that was unloaded.
	f.close()
	os.Remove(path)
	if text := f.read(buf); text != nil {
		t.Errorf("vanished file: %q", text)
	}
}

func TestCountersAreCutAtALine(t *testing.T) {
	line := strings.Repeat("x", 99) + "\n"
	text := bytes.Repeat([]byte(line), maxCounters/100+1)[:maxCounters+1]
	if got := pickLines(text, ""); len(got) != maxCounters/100*100 || got[len(got)-1] != '\n' {
		t.Errorf("%d bytes are left", len(got))
	}
	if got := pickLines([]byte("Ip: 1\nTcp: a\nTcp: 1\nUdp: 2\nTcp: "), "Tcp:"); string(got) != "Tcp: a\nTcp: 1\nTcp: " {
		t.Errorf("lines %q", got)
	}
}

func BenchmarkHostCounters(b *testing.B) {
	h := OpenHostCounters()
	defer h.Close()
	b.ReportAllocs()
	for b.Loop() {
		h.Changed()
	}
}
