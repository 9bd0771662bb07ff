package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// A result has the outcomes of all mutants.
type result struct {
	pkg, check   string
	mutants      []mutant
	outcomes     []string
	uncompilable []mutant
	accepted     accepted
	took, total  time.Duration // of one check, of all checks
}

// accepted maps survivors that cannot be killed to the reason. A survivor is a mutant's key,
// or a prefix of keys followed by *.
type accepted map[string]string

func (a accepted) has(m *mutant) bool {
	key := m.key()
	if a[key] != "" {
		return true
	}
	for pattern := range a {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// readAccepted reads survivors, one a line: the key, one or more tabs, and the reason. It
// ignores empty lines and lines that begin with #.
func readAccepted(file string) (accepted, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list := accepted{}
	scan := bufio.NewScanner(f)
	for n := 1; scan.Scan(); n++ {
		line := scan.Text()
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, reason, ok := strings.Cut(line, "\t")
		if reason = strings.TrimSpace(reason); !ok || reason == "" {
			return nil, fmt.Errorf("%s:%d: want a mutant, a tab and the reason", file, n)
		}
		list[key] = reason
	}
	return list, scan.Err()
}

// A score counts mutants.
type score struct{ all, killed, accepted int }

func (s score) share() float64 { return 100 * float64(s.killed) / float64(max(s.all-s.accepted, 1)) }

func (s *score) add(outcome string, accepted bool) {
	s.all++
	switch {
	case dead(outcome):
		s.killed++
	case accepted:
		s.accepted++
	}
}

func dead(outcome string) bool { return outcome == killed || outcome == timeout }

func (r *result) score() score {
	var s score
	for i := range r.mutants {
		s.add(r.outcomes[i], r.accepted.has(&r.mutants[i]))
	}
	return s
}

// write writes the result in markdown.
func (r *result) write(out io.Writer) error {
	w := bufio.NewWriter(out)
	counts := map[string]int{}
	for _, o := range r.outcomes {
		counts[o]++
	}
	s := r.score()
	fmt.Fprintf(w, "## Mutants of %s\n\n", r.pkg)
	fmt.Fprintf(w, "`%s` kills **%.1f %%**: %d of %d, without %d accepted survivors (survivors.txt).\n",
		r.check, s.share(), s.killed, s.all-s.accepted, s.accepted)
	fmt.Fprintf(w, "%d are killed by the time limit; %d survivors are never reached; %d changes do not compile and do not count. One check takes %v, all took %v.\n\n",
		counts[timeout], counts[unreached], len(r.uncompilable), r.took.Round(time.Millisecond), r.total.Round(time.Second))
	r.table(w, "file", func(m *mutant) string { return m.file })
	r.table(w, "change", func(m *mutant) string { return m.kind })
	r.survivors(w)
	r.stale(w)
	for _, m := range r.uncompilable {
		fmt.Fprintf(w, "- does not compile: %s:%d %s\n", m.file, m.line, m.key())
	}
	return w.Flush()
}

func (r *result) table(w io.Writer, of string, group func(*mutant) string) {
	scores := map[string]*score{}
	for i := range r.mutants {
		m := &r.mutants[i]
		g := group(m)
		if scores[g] == nil {
			scores[g] = &score{}
		}
		scores[g].add(r.outcomes[i], r.accepted.has(m))
	}
	fmt.Fprintf(w, "| %s | mutants | killed | accepted | left | share |\n| --- | ---: | ---: | ---: | ---: | ---: |\n", of)
	for _, g := range slices.Sorted(maps.Keys(scores)) {
		s := scores[g]
		fmt.Fprintf(w, "| %s | %d | %d | %d | %d | %.1f %% |\n", g, s.all, s.killed, s.accepted, s.all-s.killed-s.accepted, s.share())
	}
	fmt.Fprintln(w)
}

func (r *result) survivors(w io.Writer) {
	var left []int
	for i := range r.mutants {
		if !dead(r.outcomes[i]) && !r.accepted.has(&r.mutants[i]) {
			left = append(left, i)
		}
	}
	slices.SortFunc(left, func(a, b int) int {
		x, y := &r.mutants[a], &r.mutants[b]
		return cmp.Or(cmp.Compare(x.file, y.file), cmp.Compare(x.line, y.line), cmp.Compare(x.id, y.id))
	})
	if len(left) > 0 {
		fmt.Fprint(w, "### Survivors\n\n")
	}
	for _, i := range left {
		m := &r.mutants[i]
		fmt.Fprintf(w, "- %s:%d %s: `%s`", m.file, m.line, m.fn, m.change)
		if m.again > 0 {
			fmt.Fprintf(w, " (%d)", m.again+1)
		}
		if r.outcomes[i] == unreached {
			fmt.Fprint(w, ", never reached")
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

// stale lists accepted survivors that are killed.
func (r *result) stale(w io.Writer) {
	for i := range r.mutants {
		if k := r.mutants[i].key(); dead(r.outcomes[i]) && r.accepted[k] != "" {
			fmt.Fprintf(w, "- is killed, remove it from survivors.txt: %s\n", k)
		}
	}
}
