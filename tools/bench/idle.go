//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/topotape/topotape/tools/netlab"
)

// idleStart bounds the first walk, which reads everything. It has a row of its own.
const idleStart = 12 * time.Second

// idle measures walks of /proc without traffic.
func (b *bench) idle() (err error) {
	b.note("idle: %d namespaces", b.plan.namespaces)
	idlers, err := netlab.Idle(b.plan.namespaces)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, idlers.Close()) }()
	tape := filepath.Join(b.dir, "idle")
	p, err := b.record(tape, "--sources", "proc", "--proc-interval", "3s")
	if err != nil {
		return err
	}
	defer p.kill()
	first := min(idleStart, b.plan.idle/2)
	b.note("idle: %v", b.plan.idle)
	if err := b.sleep(first); err != nil {
		return err
	}
	begun, err := p.cpu()
	if err != nil {
		return err
	}
	if err := b.sleep(b.plan.idle - first); err != nil {
		return err
	}
	all, err := p.cpu()
	if err != nil {
		return err
	}
	u, err := p.stop()
	if err != nil {
		return err
	}
	st, err := os.Stat(tape)
	if err != nil {
		return err
	}
	share := func(cpu, wall time.Duration) string { return fmt.Sprintf("%.2f %%", 100*cpu.Seconds()/wall.Seconds()) }
	t := table{title: fmt.Sprintf("Walking /proc every 3 s with %d idle namespaces", b.plan.namespaces), head: []string{"time", "of one core"}}
	t.add(fmt.Sprintf("the first %v", first), share(begun, first))
	t.add(fmt.Sprintf("the next %v", b.plan.idle-first), share(all-begun, b.plan.idle-first))
	t.add(fmt.Sprintf("all %v", b.plan.idle), share(u.cpu, b.plan.idle))
	t.below = fmt.Sprintf("topotape record --sources proc --proc-interval 3s, with the lab's namespaces too; %.0f KiB of tape, %.0f MiB of memory.",
		float64(st.Size())/1024, float64(u.memory)/(1<<20))
	b.print(&t)
	return nil
}
