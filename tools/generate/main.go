package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/topotape/topotape/fixtures"
	"github.com/topotape/topotape/fixtures/script"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter"
	"github.com/topotape/topotape/reporter/report"
)

func main() {
	dir := flag.String("o", "fixtures/generated", "folder of the fixtures; existing ones are replaced")
	count := flag.Int("n", 24, "number of fixtures")
	script := flag.Int("script", -1, "print the script of this number and make no fixtures")
	flag.Parse()
	if err := run(*dir, *count, *script); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(dir string, count, script int) error {
	if script >= 0 {
		_, err := os.Stdout.Write(generate(script).script())
		return err
	}
	for i := range count {
		if err := fixture(dir, i); err != nil {
			return fmt.Errorf("fixture %d: %w", i, err)
		}
	}
	return nil
}

// fixture makes one fixture, and replaces an existing one.
func fixture(dir string, number int) error {
	g := generate(number)
	tape, err := witnessed(g)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("generated-%02d", number)
	if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
		return err
	}
	f := &fixtures.Fixture{
		Shows: fmt.Sprintf("Generated (%s): the expected reports are those of the core that made them; the fixture detects changes", strings.Join(g.traits, ", ")),
		Tool:  "generate",
	}
	for _, text := range g.expectations {
		e, err := fixtures.ParseExpectation(text)
		if err != nil {
			return err
		}
		f.Expectations = append(f.Expectations, e)
	}
	if g.scoped {
		f.Files = []string{fixtures.ScopeFile}
	}
	return fixtures.Add(dir, name, f, input(tape))
}

// witnessed builds the script's tape with witnesses of its own reports.
func witnessed(g *generator) ([]byte, error) {
	plain, err := build(g.script())
	if err != nil {
		return nil, err
	}
	at := 0
	var lines [][]byte
	_, err = replay.Run([]replay.Input{input(plain)}, replay.Options{Reports: replay.All}, func(r *report.Report) error {
		for ; !isTick(g.lines[at]); at++ {
			lines = append(lines, g.lines[at])
		}
		lines = append(lines, g.lines[at], witness(g.times[at], r))
		at++
		return nil
	})
	if err != nil {
		return nil, err
	}
	g.lines = append(lines, g.lines[at:]...)
	return build(g.script())
}

// isTick reports whether a line is a tick that makes a report.
func isTick(line []byte) bool {
	return bytes.Contains(line, []byte(`"tick":`)) && !bytes.Contains(line, []byte(`"raw":`))
}

// witness returns the line of the record with a report's digests.
func witness(at string, r *report.Report) []byte {
	d := r.Digests()
	digest := func(v uint64) string {
		return fmt.Sprintf("%016x", v)
	}
	var buckets []string
	for _, v := range d.Connections {
		buckets = append(buckets, digest(v))
	}
	o := object{"tick": r.Tick, "rules": r.Rules, "core": reporter.CoreVersion,
		"coverage": digest(d.Coverage), "endpoints": digest(d.Endpoints), "names": digest(d.Names), "connections": buckets}
	if d.Attempts != 0 {
		o["attempts"] = digest(d.Attempts)
	}
	return line(at, "witness", o)
}

func build(text []byte) ([]byte, error) {
	var out bytes.Buffer
	err := script.Build(&out, bytes.NewReader(text), script.Options{Name: "generated", Core: reporter.CoreVersion})
	return out.Bytes(), err
}

func input(tape []byte) replay.Input {
	return replay.Input{Name: "generated", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tape)), nil }}
}
