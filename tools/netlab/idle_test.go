//go:build linux

package netlab

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestIdle(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	const n = 50
	begin := time.Now()
	d, err := Idle(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d namespaces in %v", n, time.Since(begin))
	own, err := netnsInode("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{own: true}
	for _, pid := range d.pids() {
		inode, err := netnsInode(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err != nil || seen[inode] {
			t.Errorf("process %d: namespace %d is not its own: %v", pid, inode, err)
		}
		seen[inode] = true
		table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
		if err != nil || strings.Count(string(table), "\n") != 2 {
			t.Errorf("process %d: %v, want one socket:\n%s", pid, err, table)
		}
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if string(comm) != "lab-idle\n" {
			t.Errorf("process %d is %q", pid, comm)
		}
	}
	begin = time.Now()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("removed in %v", time.Since(begin))
	for _, pid := range d.pids() {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			t.Errorf("process %d is left", pid)
		}
	}
}
