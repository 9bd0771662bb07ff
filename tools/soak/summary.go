//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// A summary counts what was tried and what was found.
type summary struct {
	mu      sync.Mutex
	tapes   int
	runs    int
	bad     int // tapes that make a verb fail
	changed map[string]int
	found   map[string]int // by the first word of a finding
	byVerb  map[string]*verbSum
}

type verbSum struct {
	runs   int
	codes  [5]int
	wall   time.Duration // the longest
	memory int64         // the most
}

func newSummary() *summary {
	return &summary{changed: map[string]int{}, found: map[string]int{}, byVerb: map[string]*verbSum{}}
}

func (s *summary) tape(did []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tapes++
	for _, d := range did {
		s.changed[d]++
	}
}

func (s *summary) run(r run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs++
	v := s.byVerb[r.command]
	if v == nil {
		v = new(verbSum)
		s.byVerb[r.command] = v
	}
	v.runs++
	if r.code >= 0 && r.code < len(v.codes) {
		v.codes[r.code]++
	}
	v.wall, v.memory = max(v.wall, r.wall), max(v.memory, r.memory)
	for _, f := range r.failed {
		kind, _, _ := strings.Cut(f, ":")
		s.found[kind]++
	}
}

// note prints the text about a tape that makes a verb fail.
func (s *summary) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad++
	fmt.Fprintln(os.Stderr, text)
}

func (s *summary) failed() int { return s.bad }

// findings are the first words of all findings.
var findings = []string{"panic", "hang", "memory", "disk", "exit", "output", "standard error"}

// print prints the tables in markdown.
func (s *summary) print(out io.Writer) {
	fmt.Fprintf(out, "| change | tapes |\n|---|---:|\n")
	for _, c := range changes {
		fmt.Fprintf(out, "| %s | %d |\n", c.name, s.changed[c.name])
	}
	fmt.Fprintf(out, "\n| command | runs | exit 0 | 1 | 3 | 4 | longest s | most MiB |\n|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, v := range verbs {
		name := "topotape " + strings.Join(v.args, " ")
		if n := s.byVerb[name]; n != nil {
			fmt.Fprintf(out, "| `%s` | %d | %d | %d | %d | %d | %.1f | %d |\n", name, n.runs, n.codes[0], n.codes[1], n.codes[3], n.codes[4], n.wall.Seconds(), n.memory>>20)
		}
	}
	fmt.Fprintf(out, "\n%d tapes, %d runs:", s.tapes, s.runs)
	for i, f := range findings {
		if i > 0 {
			fmt.Fprint(out, ",")
		}
		fmt.Fprintf(out, " %d %s", s.found[f], f)
	}
	fmt.Fprintln(out)
}
