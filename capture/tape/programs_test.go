package tape_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// render writes what msgp read in the form of the foreign programs.
func (r *foreign) render(str, bin func(string) string) string {
	return fmt.Sprintf("[%d, %d, %d, %d, %s]", r.kind, r.seq, r.at, r.source, render(r.payload, str, bin))
}

func render(v any, str, bin func(string) string) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return str(v)
	case []byte:
		return bin(string(v))
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, render(e, str, bin))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		for k, e := range v { // has one at most
			return "{" + str(k) + ": " + render(e, str, bin) + "}"
		}
		return "{}"
	}
	return fmt.Sprint(v)
}

func digits(s string) string { return hex.EncodeToString([]byte(s)) }

// @msgpack/msgpack and fzstd read every byte of the same tapes to the same
// records.
func TestNodeReadsTheSame(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node")
	}
	if _, err := os.Stat("../../tools/readers/node_modules/@msgpack/msgpack"); err != nil {
		t.Skip("needs its packages: npm ci in tools/readers")
	}
	args := []string{"../../tools/readers/frames.mjs"}
	var want strings.Builder
	for _, s := range samples(t) {
		args = append(args, s.name, strconv.FormatInt(s.sound, 10))
		fmt.Fprintf(&want, "# %s\n", s.name)
		_, list := s.walk(t)
		for _, r := range list {
			want.WriteString(r.render(func(s string) string { return `"` + digits(s) + `"` }, func(s string) string { return "'" + digits(s) + "'" }) + "\n")
		}
	}
	sameLines(t, output(t, node, args...), want.String())
}

// The example prints all records up to the first damage, and says how each
// tape ends.
func TestExampleReadsTheSame(t *testing.T) {
	var python string
	for _, name := range []string{"python3", "/usr/bin/python3"} { // the distribution's own python has its packages
		if exec.Command(name, "-c", "import msgpack, zstandard").Run() == nil {
			python = name
		}
	}
	if python == "" {
		t.Skip("needs python3 with msgpack and zstandard: Debian's python3-msgpack and python3-zstandard")
	}
	if text, err := os.ReadFile("../../tools/readers/tape.py"); err != nil || bytes.Count(text, []byte("\n")) >= 60 {
		t.Errorf("the example has 60 lines or more (%v)", err)
	}
	for _, s := range samples(t) {
		var got, ends []string
		for line := range strings.Lines(output(t, python, "../../tools/readers/tape.py", s.name)) {
			if strings.HasPrefix(line, "{") {
				var end struct {
					Ending string
					Offset int64
				}
				if err := json.Unmarshal([]byte(line), &end); err != nil {
					t.Fatal(err)
				}
				ends = append(ends, end.Ending)
				if (end.Ending == "torn" || end.Ending == "too new") && end.Offset != s.sound {
					t.Errorf("%s: %s at offset %d, not at %d", s.name, end.Ending, end.Offset, s.sound)
				}
			} else {
				got = append(got, line)
			}
		}
		if !reflect.DeepEqual(ends, s.ends) {
			t.Errorf("%s: ends %v, not %v", s.name, ends, s.ends)
		}
		var want strings.Builder
		_, list := s.walk(t)
		for _, r := range list {
			want.WriteString(r.render(pythonString, func(s string) string { return `{"bin": "` + digits(s) + `"}` }) + "\n")
		}
		if s.sound < int64(len(s.bytes)) { // of a damaged chunk it prints the records before the damage
			got = got[:min(len(got), len(list))]
		}
		sameLines(t, strings.Join(got, ""), want.String())
	}
}

// pythonString is a string as Python's json.dumps writes it, with bytes that
// are no UTF-8 as surrogates.
func pythonString(s string) string {
	b := []byte{'"'}
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		i := strings.IndexRune("\"\\\n\r\t\b\f", r)
		switch {
		case r == utf8.RuneError && n == 1:
			b = fmt.Appendf(b, `\udc%02x`, s[0])
		case i >= 0:
			b = append(b, '\\', `"\nrtbf`[i])
		case r >= 0x10000:
			b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		case r < ' ' || r >= 0x7f:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = append(b, byte(r))
		}
		s = s[n:]
	}
	return string(append(b, '"'))
}

func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, stderr.Bytes())
	}
	return stdout.String()
}

func sameLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	name := ""
	for i := range max(len(g), len(w)) {
		line, should := "(nothing)", "(nothing)"
		if i < len(g) {
			line = g[i]
		}
		if i < len(w) {
			should = w[i]
		}
		if strings.HasPrefix(should, "# ") {
			name = should
		}
		if line != should {
			t.Fatalf("%s line %d:\ngot  %.500s\nwant %.500s", name, i+1, line, should)
		}
	}
}
