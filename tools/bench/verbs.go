//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// verbWait bounds one verb.
const verbWait = 20 * time.Minute

// verbs measures every verb on one large tape.
func (b *bench) verbs() error {
	recorded, tape := filepath.Join(b.dir, "recorded"), filepath.Join(b.dir, "large.tape")
	b.note("verbs: recording %d connections", b.plan.tape)
	if err := b.recordBurst(recorded); err != nil {
		return err
	}
	b.note("verbs: writing a tape of %d MiB", b.plan.large>>20)
	records, err := multiply(recorded, tape, 0, b.plan.large)
	if err != nil {
		return err
	}
	st, err := os.Stat(tape)
	if err != nil {
		return err
	}
	out := filepath.Join(b.dir, "out.tape")
	t := table{title: fmt.Sprintf("Every verb on a tape of %s MiB", count(float64(st.Size()>>20))), head: []string{"command", "wall s", "CPU s", "million records/s", "memory MiB"}}
	for _, args := range [][]string{
		{"info", tape},
		{"info", "--top", "10", tape},
		{"cat", tape},
		{"cat", "--format", "jsonl", tape},
		{"cat", "--format", "pcapng", tape},
		{"cat", "--from", "-10s", tape},
		{"replay", tape},
		{"replay", "--all", "--format", "ndjson", tape},
		{"replay", "--verify", tape},
		{"replay", "--whole", "--format", "ndjson", tape},
		{"diff", tape, tape},
		{"cut", "--from", "-1m", tape, "-o", out},
		{"merge", tape, "-o", out},
		{"recover", tape, "-o", out},
	} {
		what := strings.NewReplacer(tape, "TAPE", out, "OUT").Replace(strings.Join(args, " "))
		b.note("verbs: %s", what)
		p, err := b.topotapeTo(nil, args...)
		if err != nil {
			return err
		}
		peak := p.peak()
		u, err := p.wait(verbWait)
		if err != nil {
			return err
		}
		memory := peak()
		os.Remove(out)
		rate := "–"
		if speed := float64(records) / u.wall.Seconds() / 1e6; !seeks(args) {
			rate = fmt.Sprintf("%.2f", speed)
		}
		t.add("`"+what+"`", fmt.Sprintf("%.2f", u.wall.Seconds()), fmt.Sprintf("%.2f", u.cpu.Seconds()), rate, mebibytes(memory))
	}
	t.below = fmt.Sprintf("%s records of conntrack events, made of %s recorded connections; output to /dev/null.", count(float64(records)), count(float64(b.plan.tape)))
	b.print(&t)
	return nil
}

// mebibytes formats memory. It is 0 if the program ended before its memory was read.
func mebibytes(memory int64) string {
	if memory == 0 {
		return "–"
	}
	return fmt.Sprintf("%d", memory>>20)
}

// seeks reports whether the command reads only a part of the tape.
func seeks(args []string) bool {
	return args[0] == "info" && len(args) == 2 || args[0] == "cat" && slices.Contains(args, "--from")
}

// topotapeTo starts the program with its output in a file, nil for nowhere.
func (b *bench) topotapeTo(out *os.File, args ...string) (*process, error) {
	cmd := exec.CommandContext(b.ctx, b.topotape, args...)
	cmd.Env = plainEnv()
	if out != nil {
		cmd.Stdout = out
	}
	return start(cmd)
}
