// The race detector needs more memory than these programs may have.

//go:build linux && !race

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain runs this program as the program to check, if a test asks for it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if misbehave := misbehaviours[os.Args[1]]; misbehave != nil {
			misbehave()
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

var kept [][]byte

// misbehaviours are programs that soak must object to, and some that it must not.
var misbehaviours = map[string]func(){
	"sound":  func() { fmt.Println("a line", "\ttab é") },
	"panics": func() { panic("at the disco") },
	"core":   func() { fmt.Fprintln(os.Stderr, "topotape: the core panics on record 7: x"); os.Exit(1) },
	"hangs":  func() { time.Sleep(time.Hour) },
	"loops": func() {
		for i := 0; ; i++ {
			kept = kept[:0]
		}
	},
	"eats":       func() { eat(400) },
	"eats all":   func() { eat(4000) },
	"large":      func() { signal.Ignore(syscall.SIGPIPE); fmt.Print(strings.Repeat("é", maxOutput)) },
	"escapes":    func() { fmt.Println("name \x1b[2J") },
	"complains":  func() { fmt.Fprintln(os.Stderr, "name \u202e"); os.Exit(1) },
	"forges":     func() { fmt.Println("name\n" + forged) },
	"usage":      func() { fmt.Fprintln(os.Stderr, "see --help"); os.Exit(2) },
	"silent":     func() { os.Exit(1) },
	"differs":    func() { fmt.Fprintln(os.Stderr, "they differ"); os.Exit(4) },
	"no json":    func() { fmt.Println(`{"a":[1,}`) },
	"half json":  func() { fmt.Println(`{"a":[1`) },
	"two values": func() { fmt.Println(`{} {}`) },
	"killed":     func() { p, _ := os.FindProcess(os.Getpid()); p.Kill(); time.Sleep(time.Minute) },
}

func eat(mebibytes int) {
	for range mebibytes {
		kept = append(kept, bytes.Repeat([]byte{1}, 1<<20))
	}
}

// Every misbehaviour is found, and what is allowed is not.
func TestMisbehaviourIsFound(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	j := &job{program: self, tape: "/dev/null", original: "/dev/null", dir: filepath.Join(t.TempDir(), "out"), wait: maxWall}
	for name, c := range map[string]struct {
		verb verb
		want string // begin of the finding
	}{
		"sound":      {verb{}, ""},
		"large":      {verb{}, ""},
		"panics":     {verb{}, "panic: "},
		"core":       {verb{}, "panic: "},
		"hangs":      {verb{}, "hang: "},
		"loops":      {verb{}, "hang: "},
		"eats":       {verb{}, "memory: 4"},
		"eats all":   {verb{}, "memory: needs more"},
		"escapes":    {verb{}, `output: raw "\x1b"`},
		"complains":  {verb{}, `standard error: raw "\u202e"`},
		"forges":     {verb{}, `output: raw '\n' of a text`},
		"usage":      {verb{}, "exit: code 2"},
		"silent":     {verb{}, "exit: code 1 without"},
		"differs":    {verb{same: true}, "exit: the tape differs"},
		"no json":    {verb{output: jsonMany}, "output: the JSON: "},
		"half json":  {verb{output: jsonMany}, "output: the JSON: unexpected EOF"},
		"two values": {verb{output: jsonOne}, "output: the JSON: 2 values"},
		"killed":     {verb{}, "exit: code -1"},
	} {
		t.Run(name, func(t *testing.T) {
			c.verb.args = []string{name}
			j := *j
			j.dir += name
			if name == "hangs" || name == "loops" {
				j.wait = time.Second
			}
			r, err := j.run(t.Context(), &c.verb)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.want == "" && len(r.failed) > 0:
				t.Errorf("it is sound: %q", r.failed)
			case c.want != "" && !slices.ContainsFunc(r.failed, func(f string) bool { return strings.HasPrefix(f, c.want) }):
				t.Errorf("want %s, got %q", c.want, r.failed)
			}
		})
	}
}
