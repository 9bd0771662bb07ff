//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// replayWait bounds one replay.
const replayWait = 3 * time.Minute

// replay measures records a second on one core, and compares them with a scan that decodes
// the same tape and does nothing with the records.
func (b *bench) replay() error {
	recorded, tape := filepath.Join(b.dir, "recorded"), filepath.Join(b.dir, "tape")
	b.note("replay: recording %d connections", b.plan.tape)
	if err := b.recordBurst(recorded); err != nil {
		return err
	}
	b.note("replay: writing a tape of %d records", b.plan.tapeRecords)
	records, err := multiply(recorded, tape, b.plan.tapeRecords, 0)
	if err != nil {
		return err
	}
	st, err := os.Stat(tape)
	if err != nil {
		return err
	}
	scan, err := b.format(&format{name: "the tape without replay", file: tape, packed: true, scan: scanTape})
	if err != nil {
		return err
	}
	cases := []struct {
		what  string
		flags []string
	}{
		{"the last report", []string{"--format", "ndjson"}},
		{"--verify", []string{"--verify"}},
		{"--all --format ndjson", []string{"--all", "--format", "ndjson"}},
	}
	wall, cpu, memory := make([]series, len(cases)), make([]series, len(cases)), make([]series, len(cases))
	for round := range max(b.plan.rounds, 3) {
		for i, c := range cases {
			b.note("replay: round %d, %s", round+1, c.what)
			u, err := b.replayOnce(append([]string{"replay", tape}, c.flags...))
			if err != nil {
				return err
			}
			wall[i] = append(wall[i], float64(records)/u.wall.Seconds())
			cpu[i] = append(cpu[i], float64(records)/u.cpu.Seconds())
			memory[i] = append(memory[i], float64(u.memory)/(1<<20))
		}
	}
	t := table{title: "Replay on one core", head: []string{"replay of", "records/s", "of the scan's", "records/s of CPU time", "memory MiB"}}
	t.add("a scan without replay", scan.speed.show("%.0f"), "1.00", "–", "–")
	for i, c := range cases {
		t.add(c.what, wall[i].show("%.0f"), fmt.Sprintf("%.2f", wall[i].median()/scan.speed.median()), cpu[i].show("%.0f"), memory[i].show("%.0f"))
	}
	t.below = fmt.Sprintf("%s records, %.1f bytes each on tape, made of %s recorded connections; taskset to one core, GOMAXPROCS=1; includes starting the program and decompressing.",
		count(float64(records)), float64(st.Size())/float64(records), count(float64(b.plan.tape)))
	b.print(&t)
	return nil
}

func (b *bench) replayOnce(args []string) (usage, error) {
	cmd := exec.CommandContext(b.ctx, "taskset", append([]string{"-c", strconv.Itoa(runtime.NumCPU() - 1), b.topotape}, args...)...)
	cmd.Env = plainEnv("GOMAXPROCS=1")
	p, err := start(cmd)
	if err != nil {
		return usage{}, err
	}
	return p.wait(replayWait)
}
