package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func tinyOptions(survivors string) options {
	return options{
		pkg: "./testdata/tiny", survivors: survivors, workers: 2,
		build: "go build -o {bin} ./testdata/tiny/check", check: "{bin}",
	}
}

func TestTinyPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program")
	}
	before, err := os.ReadFile("testdata/tiny/tiny.go")
	if err != nil {
		t.Fatal(err)
	}
	r, err := measure(t.Context(), tinyOptions("testdata/survivors.txt"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	outcome := map[string]string{}
	for i := range r.mutants {
		outcome[r.mutants[i].key()] = r.outcomes[i]
	}
	for key, want := range map[string]string{
		"tiny.go:Sum: i < n → i <= n":                        killed,
		"tiny.go:Sum: i < n → i >= n":                        killed,
		"tiny.go:Sum: n > 1000 → n <= 1000":                  timeout,
		"tiny.go:Sum: n > 1000 → n >= 1000":                  survived,
		"tiny.go:Sum: n = max(n, 5) → nothing":               unreached,
		"tiny.go:Sum: sum += i → sum -= i":                   killed,
		"tiny.go:Sum: return … sum → its zero value":         killed,
		"tiny.go:Small: n < 10 → n <= 10":                    survived,
		"tiny.go:Small: n < 10 && n >= 0 → n < 10 || n >= 0": killed,
		"tiny.go:Small: n < 10 && n >= 0 → n < 10":           killed,
		"tiny.go:Small: n < 10 && n >= 0 → n >= 0":           killed,
		"tiny.go:Small: return … n < 10 && n >= 0 → true":    killed,
		"tiny.go:Small: return … n < 10 && n >= 0 → false":   killed,
		"tiny.go:Never: d <<= 1 → d >>= 1":                   unreached,
		"tiny.go:Spare: 4 → (4)+1":                           survived,
		"tiny.go:Spare: out = append(out, b...) → nothing":   killed,
		"tiny.go:Kind: n == 3 → n != 3":                      killed,
		"tiny.go:Kind: 3 → (3)+1":                            killed,
		`tiny.go:Kind: return … "three" → its zero value`:    killed,
		"tiny.go:Both: a && b → a || b":                      "",
		"tiny.go:Small: 10 → (10)+1":                         survived,
		"tiny.go:Never: return … d → its zero value":         unreached,
	} {
		if got := outcome[key]; got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if len(r.uncompilable) == 0 || !slices.ContainsFunc(r.uncompilable, func(m mutant) bool { return m.change == "a && b → a || b" }) {
		t.Errorf("does not compile: %v", r.uncompilable)
	}
	for i := range r.mutants {
		if m := &r.mutants[i]; m.fn == "Small" && strings.HasPrefix(m.change, "n >= 0") && m.line != 25 {
			t.Errorf("%s: line %d", m.key(), m.line)
		}
	}
	testReport(t, r)
	if after, err := os.ReadFile("testdata/tiny/tiny.go"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the source has changed (%v)", err)
	}
}

func testReport(t *testing.T, r *result) {
	var b bytes.Buffer
	if err := r.write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"- tiny.go:24 Small: `n < 10 → n <= 10`\n",
		"- tiny.go:30 Never: `d <<= 1 → nothing`, never reached\n",
		"- is killed, remove it from survivors.txt: tiny.go:Sum: sum += i → nothing\n",
		"without 1 accepted survivors",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "`4 → (4)+1`") {
		t.Error("an accepted survivor is listed")
	}
	s := r.score()
	if s.killed == 0 || s.all != len(r.mutants) || s.accepted != 1 || s.share() <= 50 || s.share() >= 100 {
		t.Errorf("score %+v", s)
	}
}

// It is an error if the check fails without a mutant.
func TestCheckMustPassAtFirst(t *testing.T) {
	c := &checker{check: "echo because; exit 3", workers: 1}
	if _, _, err := c.first(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "because") {
		t.Errorf("error %v", err)
	}
}

func TestSurvivorsNeedAReason(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.txt")
	if err := os.WriteFile(file, []byte("# note\n\na.go:f: x → y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readAccepted(file); err == nil || !strings.Contains(err.Error(), ":3:") {
		t.Errorf("error %v", err)
	}
}

// The core with all mutants compiles and keeps its line numbers, and its tests pass if no
// mutant is switched on.
func TestReporterWithMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the core")
	}
	p, err := load("../../reporter/current")
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.mutate(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.mutants) < 500 || len(m.uncompilable) > 0 {
		t.Errorf("%d mutants; these do not compile: %v", len(m.mutants), m.uncompilable)
	}
	keys := map[string]bool{}
	for i := range m.mutants {
		if k := m.mutants[i].key(); keys[k] {
			t.Errorf("two mutants with key %s", k)
		} else {
			keys[k] = true
		}
	}
	for i, name := range p.names {
		if got, want := strings.Count(m.sources[name], "\n"), bytes.Count(p.src[i], []byte("\n")); got != want {
			t.Errorf("%s: %d lines became %d", name, want, got)
		}
	}
	overlay, err := p.overlay(m, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-overlay", overlay, "../../reporter/current")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
