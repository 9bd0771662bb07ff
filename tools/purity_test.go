package tools

import (
	"bytes"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/topotape/topotape"

// pure packages turn bytes into values that depend on nothing else.
var pure = []string{"capture", "capture/quote", "capture/tape", "capture/wire", "reporter", "reporter/report", "reporter/source", "reporter/current", "reporter/scope2016", "reporter/ctmsg", "reporter/procnet", "reporter/sockdiag", "reporter/dnsmsg", "reporter/carry"}

var bannedImports = map[string]bool{
	"os": true, "os/exec": true, "net": true, "syscall": true, "log": true, "log/slog": true, "math/rand": true, "math/rand/v2": true,
	"crypto/rand": true, "sync": true, "sync/atomic": true, "context": true, "unsafe": true, "runtime": true,
	"golang.org/x/sys/unix": true,
}

var bannedTime = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true,
	"Tick": true, "NewTimer": true, "NewTicker": true, "Local": true, "LoadLocation": true,
}

// A violation is a place that breaks the rules.
type violation struct {
	at   token.Position
	what string
}

// check type-checks the files of one package and returns the violations of the rules of
// purity.
func check(fset *token.FileSet, files []*ast.File, imports types.Importer) ([]violation, error) {
	var out []violation
	say := func(n ast.Node, what string) { out = append(out, violation{fset.Position(n.Pos()), what}) }
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	pkg, err := (&types.Config{Importer: imports}).Check("pure", fset, files, info)
	if err != nil {
		return nil, err
	}
	// written returns the package-level variable at the root of an expression.
	written := func(e ast.Expr) string {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.StarExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			case *ast.Ident:
				if v, ok := info.Uses[x].(*types.Var); ok && v.Parent() == pkg.Scope() {
					return v.Name()
				}
				return ""
			default:
				return ""
			}
		}
	}
	for _, f := range files {
		remarks := map[int]string{}
		for _, group := range f.Comments {
			for _, c := range group.List {
				remarks[fset.Position(c.Pos()).Line] += c.Text
			}
		}
		for _, i := range f.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); bannedImports[path] {
				say(i, "imports "+path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				say(n, "starts a goroutine")
			case *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
				say(n, "uses a channel")
			case *ast.SelectorExpr:
				if o := info.Uses[n.Sel]; o != nil && o.Pkg() != nil && o.Pkg().Path() == "time" && bannedTime[o.Name()] {
					if _, method := o.Type().(*types.Signature); !method || o.Type().(*types.Signature).Recv() == nil {
						say(n, "calls time."+o.Name())
					}
				}
			case *ast.RangeStmt:
				if _, ok := info.Types[n.X].Type.Underlying().(*types.Map); ok {
					if r := remarks[fset.Position(n.Pos()).Line]; !strings.Contains(r, "sorted below") && !strings.Contains(r, "order cannot matter") {
						say(n, "ranges over a map without saying why its order reaches no output")
					}
				}
			case *ast.AssignStmt:
				for _, e := range n.Lhs {
					if v := written(e); v != "" {
						say(n, "assigns to the package's variable "+v)
					}
				}
			case *ast.IncDecStmt:
				if v := written(n.X); v != "" {
					say(n, "assigns to the package's variable "+v)
				}
			}
			return true
		})
	}
	for _, name := range pkg.Scope().Names() { // sorted by the library
		v, ok := pkg.Scope().Lookup(name).(*types.Var)
		if !ok {
			continue
		}
		switch t := v.Type().Underlying().(type) {
		case *types.Array, *types.Slice, *types.Map, *types.Struct, *types.Basic, *types.Pointer:
		case *types.Interface:
			if v.Type().String() != "error" {
				out = append(out, violation{fset.Position(v.Pos()), "has the variable " + name + ", neither error nor table"})
			}
		default:
			out = append(out, violation{fset.Position(v.Pos()), "has the variable " + name + " of type " + t.String()})
		}
	}
	return out, nil
}

// exports returns an importer that reads the packages that the go command compiled.
func exports(t *testing.T, patterns ...string) types.Importer {
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}, patterns...)...)
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	list, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	files := map[string]string{}
	for line := range strings.Lines(string(list)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			files[path] = file
		}
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
}

func TestPurity(t *testing.T) {
	var patterns []string
	for _, p := range pure {
		patterns = append(patterns, "./"+p)
	}
	imports := exports(t, patterns...)
	for _, p := range pure {
		fset := token.NewFileSet()
		var files []*ast.File
		names, err := filepath.Glob(filepath.Join("..", p, "*.go"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: no files (%v)", p, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		found, err := check(fset, files, imports)
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		for _, v := range found {
			t.Errorf("%s: %s", v.at, v.what)
		}
	}
}

// The check finds each kind of violation.
func TestPurityCheckFinds(t *testing.T) {
	imports := exports(t, "os", "time", "sort", "errors")
	for name, src := range map[string]string{
		"imports os":              `import "os"; var _ = os.Args`,
		"calls time.Now":          `import "time"; func f() { _ = time.Now() }`,
		"starts a goroutine":      `func f() { go f() }`,
		"uses a channel":          `func f(c chan int) {}`,
		"ranges over a map":       `func f(m map[int]int) { for range m { } }`,
		"assigns to":              `var n [3]int; func f() { n[1]++ }`,
		"neither error nor table": `var f interface{ M() }`,
		"of type":                 `var f = func() {}`,
		"":                        `import "errors"; var e = errors.New("x"); var table = [...]int{1}; func f(m map[int]int) { for range m { // order cannot matter: it counts` + "\n}}",
	} {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "x.go", "package x; "+src, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		found, err := check(fset, []*ast.File{f}, imports)
		if err != nil {
			t.Fatal(err)
		}
		if name == "" {
			if len(found) > 0 {
				t.Errorf("pure code: %v", found)
			}
			continue
		}
		if len(found) == 0 || !strings.Contains(found[0].what, name) {
			t.Errorf("%s: found %v", name, found)
		}
	}
}

// Each package imports only the packages of this list, which has no cycles.
func TestImportsPointOneWay(t *testing.T) {
	allowed := map[string][]string{
		"capture":               {"capture/wire"},
		"capture/collect":       {"capture"},
		"capture/live":          {"capture", "capture/collect", "capture/outfile", "capture/quote", "capture/tape"},
		"capture/outfile":       {},
		"capture/packed":        {"capture"},
		"capture/quote":         {},
		"capture/tape":          {"capture", "capture/wire"},
		"capture/wire":          {},
		"cmd/topotape":          {"capture", "capture/live", "capture/outfile", "capture/quote", "capture/tape", "fixtures", "fixtures/ingest", "fixtures/script", "replay", "replay/diff", "replay/edit", "replay/fold", "replay/pcapng", "replay/render", "replay/scope", "replay/survey", "reporter", "reporter/ctmsg", "reporter/report"},
		"fixtures":              {"capture", "capture/outfile", "capture/quote", "capture/tape", "fixtures/script", "replay", "replay/diff", "replay/fold", "replay/render", "replay/scope", "reporter", "reporter/report"},
		"fixtures/ingest":       {"capture", "capture/tape", "fixtures/script", "replay/render", "reporter/ctmsg", "reporter/dnsmsg"},
		"fixtures/script":       {"capture", "capture/tape", "capture/wire", "reporter/ctmsg", "reporter/dnsmsg", "reporter/procnet", "reporter/sockdiag", "reporter/sockmsg"},
		"replay":                {"capture", "capture/packed", "capture/tape", "replay/diff", "replay/fold", "reporter", "reporter/report", "reporter/sockmsg"},
		"replay/diff":           {"capture/quote", "replay/fold", "replay/render", "reporter", "reporter/report"},
		"replay/edit":           {"capture", "capture/packed", "capture/tape", "replay", "replay/render", "reporter", "reporter/report", "reporter/source"},
		"replay/fold":           {"capture", "reporter", "reporter/ctmsg", "reporter/dnsmsg", "reporter/procnet", "reporter/report", "reporter/sockdiag", "reporter/sockmsg"},
		"replay/pcapng":         {"capture"},
		"replay/render":         {"capture", "capture/quote", "replay/fold", "reporter/ctmsg", "reporter/dnsmsg", "reporter/procnet", "reporter/report", "reporter/sockdiag", "reporter/sockmsg"},
		"replay/replaytest":     {"capture", "capture/tape", "reporter", "reporter/ctmsg", "reporter/procnet", "reporter/report", "reporter/sockmsg"},
		"replay/scope":          {"reporter/report"},
		"replay/survey":         {"capture", "capture/quote", "capture/tape", "replay", "replay/render", "reporter/ctmsg", "reporter/report", "reporter/source"},
		"reporter":              {"capture", "capture/packed", "reporter/carry", "reporter/ctmsg", "reporter/current", "reporter/dnsmsg", "reporter/procnet", "reporter/report", "reporter/scope2016", "reporter/sockmsg", "reporter/source"},
		"reporter/carry":        {"capture/packed"},
		"reporter/ctmsg":        {"capture/quote"},
		"reporter/current":      {"capture", "reporter/carry", "reporter/ctmsg", "reporter/dnsmsg", "reporter/events", "reporter/procnet", "reporter/report", "reporter/sockdiag", "reporter/source"},
		"reporter/dnsmsg":       {"reporter/carry"},
		"reporter/events":       {"capture", "reporter/carry", "reporter/ctmsg", "reporter/procnet", "reporter/report", "reporter/sockmsg"},
		"reporter/procnet":      {},
		"reporter/report":       {"capture"},
		"reporter/reportertest": {"capture", "reporter/ctmsg", "reporter/dnsmsg", "reporter/procnet", "reporter/report", "reporter/sockmsg"},
		"reporter/scope2016":    {"capture", "capture/packed", "reporter/carry", "reporter/ctmsg", "reporter/dnsmsg", "reporter/procnet", "reporter/report", "reporter/sockdiag", "reporter/source"},
		"reporter/sockdiag":     {"reporter/procnet"},
		"reporter/sockmsg":      {"capture", "reporter/procnet"},
		"reporter/source":       {"capture", "reporter/carry", "reporter/procnet", "reporter/report", "reporter/sockdiag"},
	}
	cmd := exec.Command("go", "list", "-f", "{{.ImportPath}}\t{{join .Imports \" \"}}", "./...")
	cmd.Dir = ".."
	list, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(list)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), "\t")
		path = strings.TrimPrefix(path, module+"/")
		ok, known := allowed[path]
		if !known {
			if !strings.HasPrefix(path, "tools") {
				t.Errorf("package %s is not in the list", path)
			}
			continue
		}
		seen++
	imports:
		for _, i := range strings.Fields(imports) {
			if i == "C" {
				t.Errorf("%s imports cgo", path)
			}
			ours, is := strings.CutPrefix(i, module+"/")
			if !is {
				continue
			}
			for _, a := range ok {
				if a == ours {
					continue imports
				}
			}
			t.Errorf("%s must not import %s", path, ours)
		}
	}
	if seen != len(allowed) {
		t.Errorf("%d of %d packages in the list exist", seen, len(allowed))
	}
}

// Other calls of the MessagePack library trust the bytes that they read: ten hostile bytes
// can end the process.
func TestOnlySafeMessagePackCalls(t *testing.T) {
	safe := map[string]bool{"DecodeArrayLen": true, "DecodeMapLen": true, "DecodeUint64": true, "DecodeInt64": true, "DecodeBytesLen": true,
		"NewDecoder": true, "NewEncoder": true, "Encoder": true, "Decoder": true, "UseCompactInts": true, "Reset": true,
		"EncodeArrayLen": true, "EncodeUint": true, "EncodeInt": true, "EncodeBytes": true, "EncodeString": true}
	const library = "github.com/vmihailenco/msgpack/v5"
	imports := exports(t, "./...")
	cmd := exec.Command("go", "list", "-f", "{{.ImportPath}}\t{{.Dir}}\t{{join .GoFiles \" \"}}\t{{join .Imports \" \"}}", "./...")
	cmd.Dir = ".."
	list, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	calls := 0
	for line := range strings.Lines(string(list)) {
		part := strings.Split(strings.TrimSpace(line), "\t")
		if len(part) < 4 || !strings.Contains(part[3], library) || part[0] == module+"/tools/soak" { // soak measures a value before it decodes it
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range strings.Fields(part[2]) {
			f, err := parser.ParseFile(fset, filepath.Join(part[1], name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		if _, err := (&types.Config{Importer: imports}).Check(part[0], fset, files, info); err != nil {
			t.Fatal(err)
		}
		for id, o := range info.Uses {
			if o.Pkg() == nil || o.Pkg().Path() != library {
				continue
			}
			calls++
			if !safe[o.Name()] {
				t.Errorf("%s: msgpack's %s is not in the list of safe calls", fset.Position(id.Pos()), o.Name())
			}
		}
	}
	if calls == 0 {
		t.Error("no call of the library was found: the check is wrong")
	}
}
