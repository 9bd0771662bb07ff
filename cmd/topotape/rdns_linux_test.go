package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rdnsLab makes a network namespace with a name server of its own and a
// connection to it, and runs the program in it.
const rdnsLab = `set -e
echo nameserver 127.0.0.1 >resolv.conf
mount --bind resolv.conf /etc/resolv.conf
ip link set lo up
ip addr add 10.66.0.1/32 dev lo
ip addr add fd66::1/128 dev lo
dnsmasq --conf-file=/dev/null --no-hosts --no-resolv --pid-file= --user=root --ptr-record=1.0.66.10.in-addr.arpa,DB.rdns.test
exec 3<>/dev/tcp/10.66.0.1/53 4<>/dev/tcp/fd66::1/53
exec "$0" "$@"
`

// Reverse names go from a real name server through the tape into a report,
// and the live run and its replay agree.
func TestReverseNamesFromARealServer(t *testing.T) {
	record := program(t, "record", "-o", "a.tape", "--sources", "proc,dns,rdns", "--duration", "5s", "--interval", "500ms", "--proc-interval", "500ms", "--min-free", "0")
	for _, tool := range []string{"dnsmasq", "unshare", "ip", "bash"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	self, err := filepath.EvalSymlinks("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	lab := exec.Command("unshare", slices.Concat([]string{"--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", rdnsLab, self}, record.Args[1:])...)
	lab.Dir, lab.Env = record.Dir, record.Env
	if out, err := lab.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	replay := func(args ...string) string {
		cmd := program(t, append([]string{"replay", filepath.Join(record.Dir, "a.tape")}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return string(out)
	}
	var report struct {
		Coverage []struct {
			Source, State string
			Records       int
		}
		Names []struct {
			Addr    string
			Reverse []string
		}
	}
	out := replay("--format", "json")
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	reverse := map[string]string{}
	for _, n := range report.Names {
		reverse[n.Addr] = strings.Join(n.Reverse, ",")
	}
	if reverse["10.66.0.1"] != "db.rdns.test" || reverse["fd66::1"] != "" {
		t.Errorf("reverse names %v in %s", reverse, out)
	}
	if c := report.Coverage[len(report.Coverage)-1]; c.Source != "rdns" || c.State != "ok" || c.Records != 2 { // a name and a failed lookup
		t.Errorf("coverage %+v", report.Coverage)
	}
	replay("--verify", "--strict")
}
