//go:build linux && !race

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/capture/quote"
	"github.com/topotape/topotape/fixtures"
	"github.com/topotape/topotape/replay"
	"github.com/topotape/topotape/reporter/report"
)

// quoteCases are commands for every verb and every format. Words in capitals are names
// of files, which are hostile too, or TEXT, the hostile text. shows is where the text
// must appear, quoted or as JSON: out, err, both, or "" where it may be missing.
var quoteCases = []struct{ shows, command string }{
	{"out", "info KINDS"},
	{"out", "info --top 5 SHOWN OTHER"},
	{"out", "info SHOWN TORN"},
	{"out", "info --format json KINDS"},
	{"out", "info --format json --top 5 SHOWN"},
	{"out", "cat KINDS"},
	{"both", "cat SHOWN TORN"},
	{"out", "cat --format jsonl KINDS"},
	{"out", "cat --format jsonl SHOWN"},
	{"", "cat --format pcapng -o NEW SHOWN"},
	{"out", "replay KINDS"},
	{"both", "replay SHOWN"},
	{"out", "replay --whole SHOWN"},
	{"out", "replay --all SHOWN OTHER"},
	{"out", "replay --rules scope2016 SHOWN"},
	{"both", "replay DIR"},
	{"both", "replay TORN"},
	{"out", "replay --format json SHOWN"},
	{"out", "replay --format json --all SHOWN"},
	{"out", "replay --format ndjson --all SHOWN"},
	{"out", "replay --format ndjson --all KINDS"},
	{"out", "replay --format scope-json SHOWN"},
	{"out", "replay --format scope-json --rules scope2016 SHOWN"},
	{"", "replay --format scope-msgpack -o NEW SHOWN"},
	{"out", "replay --format dot SHOWN"},
	{"out", "replay --format dot --whole --rules scope2016 SHOWN"},
	{"out", "replay --format mermaid SHOWN"},
	{"out", "replay --verify SHOWN"},
	{"out", "replay --verify SHOWN OTHER"},
	{"out", "replay --verify --format json SHOWN"},
	{"both", "replay --verify --all --format ndjson SHOWN"},
	{"both", "replay --verify --whole --format dot SHOWN"},
	{"out", "diff SHOWN OTHER"},
	{"out", "diff SHOWN KINDS"},
	{"out", "diff --whole SHOWN TORN"},
	{"out", "diff SHOWN --rules current --rules scope2016"},
	{"out", "diff SHOWN REPORTS"},
	{"out", "diff --format json SHOWN OTHER"},
	{"out", "diff --format markdown SHOWN OTHER"},
	{"out", "diff --format dot SHOWN OTHER"},
	{"", "build -o NEW SCRIPT"},
	{"err", "build -o NEW BROKEN"},
	{"err", "build -o NEW EVIDENCE"},
	{"err", "build -o NEW TREE SCRIPT"},
	{"err", "build -o NEW SHOWN"},
	{"", "cut --from +1s -o NEW KINDS"},
	{"err", "cut -o NEW TORN"},
	{"err", "cut -o SHOWN OTHER"},
	{"err", "merge -o NEW SHOWN OTHER"},
	{"err", "merge -o SHOWN SHOWN OTHER"},
	{"err", "merge -o NEW KINDS TORN"},
	{"err", "recover -o NEW KINDS"},
	{"err", "recover -o NEW TORN"},
	{"err", "recover -o TORN TORN"},
	{"err", "fixture add --expect TEXT x SHOWN"},
	{"err", "fixture add --dir DIR --expect 10.0.0.9+present TEXT SHOWN"},
	{"err", "fixture add --dir DIR --expect 10.0.0.9+present x NONE"},
	{"err", "fixture add --dir DIR --expect 10.0.0.9+present x TORN"},
	{"out", "fixture check FIXTURES"},
	{"out", "fixture check --format github FIXTURES"},
	{"out", "fixture check --format junit FIXTURES"},
	{"out", "fixture check --format json FIXTURES"},
	{"err", "fixture check NONE"},
	{"out", "fixture update --why TEXT FIXTURES"},
	{"err", "record -o DIR"},
	{"err", "record -o NONE/x"},
	{"err", "record --sources TEXT"},
	{"out", "record --dry-run -o NEW --host-id TEXT"},
	{"err", "record --sources proc --duration 300ms --min-free 0 --note TEXT -o NEW"},
	{"err", "record --sources proc --duration 300ms --min-free 0 -o SHOWN"},
	{"err", "info NONE"},
	{"err", "cat NONE"},
	{"err", "cat --format pcapng -o SHOWN OTHER"},
	{"err", "cat BROKEN"},
	{"out", "replay --at mark:TEXT SHOWN"},
	{"err", "replay --at mark:TEXT? SHOWN"},
	{"err", "replay --match TEXT( SHOWN"},
	{"err", "replay --format TEXT SHOWN"},
	{"err", "replay --TEXT"},
	{"err", "replay -TEXT"},
	{"err", "replay FIXTURES"},
	{"err", "diff SHOWN NONE"},
	{"err", "diff SHOWN SCRIPT"},
	{"err", "TEXT"},
	{"err", "help TEXT"},
	{"", "completion TEXT"},
}

// No text of a tape, no name of a file and no argument reaches a terminal raw, from
// any verb in any format.
func TestNothingIsWrittenRaw(t *testing.T) {
	files := hostileFiles(t)
	topotape := filepath.Join(t.TempDir(), "topotape") // under this name the test program is topotape
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(exe, topotape); err != nil {
		t.Fatal(err)
	}
	for _, c := range quoteCases {
		t.Run(c.command, func(t *testing.T) {
			if strings.Contains(c.command, "record") && os.Geteuid() != 0 && strings.Contains(c.command, "NEW") {
				t.Skip("needs root, to record")
			}
			os.Remove(files["NEW"])
			cmd := exec.Command(topotape, files.arguments(c.command)...)
			var out, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr, cmd.Env = &out, &stderr, append(os.Environ(), "SUDO_USER="+hostileText, "COLUMNS=120")
			cmd.Dir = t.TempDir()
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			checkQuoted(t, stderr.String())
			format := formatOf(c.command)
			shown := strings.Contains(out.String(), markers[format])
			switch isJSON := strings.Contains(format, "json"); {
			case isJSON && strings.Contains(c.command, "--verify "):
				shown = checkJSONLines(t, out.String())
			case isJSON:
				shown = checkJSON(t, out.Bytes())
			default:
				checkQuoted(t, out.String())
			}
			inError := strings.Contains(stderr.String(), markers["text"])
			if want := c.shows; (want == "out" || want == "both") && !shown || (want == "err" || want == "both") && !inError {
				t.Errorf("the text is not shown\n%s\n%s", &out, &stderr)
			}
		})
	}
}

// markers are the beginning of the text as the formats show it.
var markers = map[string]string{"text": `\x1b[31m`, "table": `\x1b[31m`, "github": `\x1b[31m`, "junit": `\x1b[31m`, "pcapng": "", "scope-msgpack": "",
	"dot": `\\x1b[31m`, "mermaid": `#92;#8288;x1b#91;31m`, "markdown": `&#92;x1b&#91;31m`}

// formatOf returns the format that a command names, else text.
func formatOf(command string) string {
	words := strings.Fields(command)
	if i := slices.Index(words, "--format"); i >= 0 && words[i+1] != "TEXT" {
		return words[i+1]
	}
	return "text"
}

// checkQuoted finds characters that are not printable, and lines that only a text of
// the tape begins.
func checkQuoted(t *testing.T, output string) {
	t.Helper()
	for line := range strings.Lines(output) {
		if line = strings.TrimSuffix(line, "\n"); quote.Text(line) != line {
			t.Errorf("raw: %q", line)
		}
		if begin := strings.TrimSpace(line); strings.HasPrefix(begin, "FORGED") || strings.HasPrefix(begin, "::error::") {
			t.Errorf("a line of the text: %q", line)
		}
		if strings.HasPrefix(line, "goroutine ") {
			t.Errorf("the program panicked: %s", output)
		}
	}
}

// checkJSON checks that the output is JSON without raw control characters, and
// reports whether the text is in it.
func checkJSON(t *testing.T, output []byte) (shown bool) {
	t.Helper()
	if i := bytes.IndexFunc(output, func(r rune) bool { return r < ' ' && r != '\n' }); i >= 0 {
		t.Errorf("a control character at %d", i)
	}
	want := report.ValidText(hostileText)
	var find func(v any)
	find = func(v any) {
		switch v := v.(type) {
		case string:
			shown = shown || strings.Contains(v, want)
		case []any:
			for _, e := range v {
				find(e)
			}
		case map[string]any:
			for key, e := range v {
				find(key)
				find(e)
			}
		}
	}
	lines := bytes.NewReader(output)
	for d := json.NewDecoder(lines); ; {
		var v any
		err := d.Decode(&v)
		if err == io.EOF {
			return shown
		}
		if err != nil {
			t.Errorf("at %d: %v", d.InputOffset(), err)
			return shown
		}
		find(v)
	}
}

// checkJSONLines checks text in which some lines are JSON.
func checkJSONLines(t *testing.T, output string) (shown bool) {
	t.Helper()
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "{") {
			shown = checkJSON(t, []byte(line)) || shown
		} else {
			checkQuoted(t, line)
		}
	}
	return shown
}

// A hostileDir has the paths of files by the words of quoteCases.
type hostileDir map[string]string

// arguments returns the arguments of a command.
func (d hostileDir) arguments(command string) (args []string) {
	for _, word := range strings.Fields(command) {
		for name, path := range d {
			word = strings.ReplaceAll(word, name, path)
		}
		args = append(args, strings.ReplaceAll(word, "+present", " present"))
	}
	return args
}

func hostileFiles(t *testing.T) hostileDir {
	dir := filepath.Join(t.TempDir(), hostileText)
	d := hostileDir{"TEXT": hostileText, "DIR": filepath.Join(dir, "dir"), "FIXTURES": filepath.Join(dir, "fixtures"), "TREE": filepath.Join(dir, "tree")}
	for _, name := range []string{"NEW", "NONE"} {
		d[name] = filepath.Join(dir, name)
	}
	write := func(path string, content []byte) string {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	shown, other := shownTape(t, ""), shownTape(t, "other")
	script := catTo(t, "x", shown, "jsonl")
	reports := []byte(strings.Join(replayedLines(t, "", []replay.Input{inputOf("x", other)}), "\n") + "\n")
	for name, content := range map[string][]byte{
		"KINDS": kindsTape(t), "SHOWN": shown, "OTHER": other, "TORN": slices.Concat(shown, other[:len(other)*2/3]), "SCRIPT": script, "REPORTS": reports,
		"BROKEN":   []byte(`{"tape":{"host_id":"` + "\x7f\u202e" + `"}}` + "\n" + `{"at":"0s","\u001b[31m\u202e":1}` + "\n"),
		"EVIDENCE": []byte("tcp 6 10 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 " + hostileText + "=1\ntcp 6 " + hostileText + "\n"),
	} {
		d[name] = write(filepath.Join(dir, name+".tape"), content)
	}
	write(filepath.Join(d["DIR"], hostileText+".tape"), shown)
	write(filepath.Join(d["DIR"], hostileText), nil)
	write(filepath.Join(d["TREE"], "proc", hostileText), []byte(hostileText))
	write(filepath.Join(d["TREE"], hostileText, "net/tcp"), tableOf(1))
	d.addFixtures(t, shown, reports, write)
	return d
}

// addFixtures writes fixtures that fail in every way.
func (d hostileDir) addFixtures(t *testing.T, tape, reports []byte, write func(string, []byte) string) {
	f := fixtures.Fixture{Tool: hostileText, Shows: hostileText}
	for to, text := range map[*[]*fixtures.Expectation]string{&f.Expectations: "10.0.0.1 present", &f.KnownBad: "10.0.0.9 present"} {
		e, err := fixtures.ParseExpectation(text)
		if err != nil {
			t.Fatal(err)
		}
		*to = append(*to, e)
	}
	if err := fixtures.Add(d["FIXTURES"], "x", &f, inputOf("x", tape)); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(d["FIXTURES"], hostileText)
	if err := os.Rename(filepath.Join(d["FIXTURES"], "x"), dir); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(dir, "want.ndjson"), append(reports, hostileText...))
	write(filepath.Join(d["FIXTURES"], "unused", "capture.tape"), tape)
	write(filepath.Join(d["FIXTURES"], "unused", "fixture.json"), []byte(`{"expectations":["* present"],"rules":"current"}`))
	write(filepath.Join(d["FIXTURES"], "unused", hostileText), nil)
	write(filepath.Join(d["FIXTURES"], "strange", "fixture.json"), []byte(`{"expectations":["\u001b[31m\u202e"],"\u001b[31m":1}`))
}

// quoteCases has every verb and every format of every verb.
func TestQuoteCasesAreComplete(t *testing.T) {
	eachVerb(rootCommand(), func(verb *cobra.Command) {
		name := strings.TrimPrefix(verb.CommandPath(), "topotape ")
		if !verb.HasAvailableFlags() || verb.HasSubCommands() || verb.Name() == "help" {
			return
		}
		formats := []string{"text"}
		if f := verb.Flags().Lookup("format"); f != nil {
			formats = formatNames(f)
		}
		for _, format := range formats {
			if !slices.ContainsFunc(quoteCases, func(c struct{ shows, command string }) bool {
				of := formatOf(c.command)
				return strings.HasPrefix(c.command, name+" ") && (of == format || of == "text" && format == formats[0])
			}) {
				t.Errorf("no case of %s, format %s", name, format)
			}
		}
	})
}

// formatNames returns the names that a flag made by addFormat accepts.
func formatNames(f *pflag.Flag) []string {
	return strings.Split(strings.ReplaceAll(f.Usage, " or ", ", "), ", ")
}

// The first record of each kind can be decoded, and all its texts are hostile.
func TestHostileRecordsHaveEveryText(t *testing.T) {
	seen := map[capture.Kind]bool{}
	for _, r := range hostileRecords() {
		if seen[r.Kind] || r.Kind.Raw() {
			continue
		}
		seen[r.Kind] = true
		p := r.Kind.New()
		if err := r.Decode(p); err != nil {
			t.Error(err)
		}
		texts(reflect.ValueOf(p), func(v reflect.Value) {
			if !strings.Contains(fmt.Sprintf("%s", v), hostileText) {
				t.Errorf("%s has a text that is not hostile: %q", r.Kind, v)
			}
		})
	}
	if len(seen) < 20 {
		t.Errorf("only %d kinds", len(seen))
	}
}
