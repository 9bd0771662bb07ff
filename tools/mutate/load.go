package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

//go:embed switch.go.txt
var switchSource string

// switchFile is the name of the file that a mutated package gets in addition.
const switchFile = "zz_mutants.go"

// A pkg is the package under test without mutants.
type pkg struct {
	dir, path, name string
	fset            *token.FileSet
	files           []*ast.File
	names           []string // base names of the files
	src             [][]byte
	info            *types.Info
	types           *types.Package
	importer        types.Importer
}

// load parses and type-checks a package without its tests.
func load(pattern string) (*pkg, error) {
	list, err := output("go", "list", "-json=Dir,ImportPath,Name,GoFiles", pattern)
	if err != nil {
		return nil, err
	}
	var l struct {
		Dir, ImportPath, Name string
		GoFiles               []string
	}
	if err := json.NewDecoder(bytes.NewReader(list)).Decode(&l); err != nil {
		return nil, fmt.Errorf("go list %s: %w", pattern, err)
	}
	p := &pkg{dir: l.Dir, path: l.ImportPath, name: l.Name, fset: token.NewFileSet(), names: l.GoFiles}
	if p.importer, err = exports(pattern); err != nil {
		return nil, err
	}
	for _, name := range p.names {
		src, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(p.fset, name, src, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		p.files, p.src = append(p.files, f), append(p.src, src)
	}
	p.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{},
		Uses: map[*ast.Ident]types.Object{}, Implicits: map[ast.Node]types.Object{}}
	p.types, err = (&types.Config{Importer: p.importer}).Check(p.path, p.fset, p.files, p.info)
	return p, err
}

// exports returns an importer for the packages that the pattern and switch.go.txt import. It
// reads what the go command compiled.
func exports(pattern string) (types.Importer, error) {
	list, err := output("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", pattern, "os", "strconv", "sync/atomic")
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for line := range strings.Lines(string(list)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			files[path] = file
		}
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) }), nil
}

func output(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}

// A mutated package has its sources by base name, and the mutants in them.
type mutated struct {
	sources      map[string]string
	mutants      []mutant
	uncompilable []mutant // removed again, because the changed code has a type error
}

// mutate adds the wanted mutants to the package's files. If a line does not compile, mutate
// removes the mutants of that line.
func (p *pkg) mutate(files []string, wanted func(*mutant) bool) (*mutated, error) {
	bad := map[string]bool{}
	m := &mutated{}
	for {
		s := &schema{fset: p.fset, info: p.info, pkg: p.types, seen: map[string]int{},
			wanted: func(m *mutant) bool { return !bad[m.key()] && (wanted == nil || wanted(m)) }}
		m.sources = map[string]string{}
		for i, f := range p.files {
			if len(files) == 0 || slices.Contains(files, p.names[i]) {
				m.sources[p.names[i]] = s.render(f, p.names[i], p.src[i])
			}
		}
		m.mutants = s.mutants
		m.sources[switchFile] = strings.NewReplacer("PACKAGE", p.name, "COUNT", strconv.Itoa(len(m.mutants))).Replace(switchSource)
		errs := p.check(m.sources)
		if len(errs) == 0 {
			return m, nil
		}
		before := len(bad)
		for _, e := range errs {
			at := e.Fset.Position(e.Pos)
			for _, x := range m.mutants {
				if x.file == at.Filename && x.line == at.Line && !bad[x.key()] {
					bad[x.key()] = true
					m.uncompilable = append(m.uncompilable, x)
				}
			}
		}
		if len(bad) == before {
			return nil, fmt.Errorf("the mutated package does not compile: %w", errs[0])
		}
	}
}

// check type-checks the package with some of its files replaced.
func (p *pkg) check(sources map[string]string) (errs []types.Error) {
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range append(slices.Clone(p.names), switchFile) {
		src, ok := sources[name]
		if !ok {
			src = string(p.src[slices.Index(p.names, name)])
		}
		f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		if err != nil {
			return []types.Error{{Fset: fset, Pos: token.NoPos, Msg: err.Error()}}
		}
		files = append(files, f)
	}
	conf := types.Config{Importer: p.importer, Error: func(err error) {
		var e types.Error
		if errors.As(err, &e) {
			errs = append(errs, e)
		}
	}}
	_, _ = conf.Check(p.path, fset, files, nil) // conf.Error has collected the errors
	return errs
}

// overlay writes the sources to a folder, and returns the file for the go command's flag
// -overlay.
func (p *pkg) overlay(m *mutated, dir string) (string, error) {
	replace := map[string]string{}
	for name, src := range m.sources {
		to := filepath.Join(dir, name)
		if err := os.WriteFile(to, []byte(src), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(p.dir, name)] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, b, 0o600)
}
