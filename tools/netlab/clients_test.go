//go:build linux

package netlab

import (
	"strings"
	"testing"
)

// Every client of its own is a process of its own, with its own name.
func TestClientsOfTheirOwn(t *testing.T) {
	l := newLab(t)
	var plan Plan
	for _, client := range []string{Process, Exec, Setns, Handed} {
		for _, k := range []string{Routed, DNAT, Masquerade, DNATSNAT, IPv6, IPv6DNAT, HighPort, Loopback, Prefork, Refused} {
			if client != Setns || k != Loopback { // another namespace has another loopback interface
				plan.Patterns = append(plan.Patterns, Pattern{Kind: k, Count: 3, Client: client})
			}
		}
		plan.Patterns = append(plan.Patterns, Pattern{Kind: DNAT, Count: 3, Client: client, Close: "server"},
			Pattern{Kind: Routed, Count: 3, Client: client, Close: "reset"})
	}
	conns, err := l.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	if want := (4*12 - 1 + 3) * 3; len(conns) != want {
		t.Errorf("%d connections, not %d", len(conns), want)
	}
	pids := map[int]bool{}
	for _, c := range conns {
		checkConn(t, l, c)
		if pids[c.Client.PID] || !strings.HasPrefix(c.Client.Comm, "lab-short-") && c.Client.Comm != "lab-exec" {
			t.Errorf("%s: not a process of its own: %+v", c.Pattern, c.Client)
		}
		pids[c.Client.PID] = true
		if c.Pattern == Prefork && (c.Server.PID == l.workers["lab-prefork"].PID || c.Server.Comm != "lab-prefork") {
			t.Errorf("not accepted by a child: %+v", c.Server)
		}
	}
}

// The client of a stack in a process has no socket, no process and no namespace.
func TestUserspaceStack(t *testing.T) {
	l := newLab(t)
	var plan Plan
	for _, end := range []string{"client", "server", "reset"} {
		plan.Patterns = append(plan.Patterns, Pattern{Kind: Userspace, Count: 5, Close: end})
	}
	conns, err := l.Run(t.Context(), plan)
	if err != nil || len(conns) != 15 {
		t.Fatalf("%d connections, %v", len(conns), err)
	}
	for _, c := range conns {
		if !c.Established || c.Client.Netns != 0 || c.Client.process != (process{}) || c.Server.PID != l.workers["lab-server"].PID {
			t.Errorf("%+v", c)
		}
	}
}
