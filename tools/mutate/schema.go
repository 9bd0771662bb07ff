package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// A mutant is one small change of the package.
type mutant struct {
	id     int    // from 1; the number that switches it on
	kind   string // from the list in doc.go
	file   string // base name
	line   int
	fn     string // the function: name or Receiver.name
	change string // before → after
	again  int    // number of earlier mutants in the function with the same change
}

// key identifies the mutant without its line.
func (m *mutant) key() string {
	k := m.file + ":" + m.fn + ": " + m.change
	if m.again > 0 {
		k += fmt.Sprintf(" (%d)", m.again+1)
	}
	return k
}

// A schema writes the source of a package with all its mutants in it.
type schema struct {
	fset    *token.FileSet
	info    *types.Info
	pkg     *types.Package
	wanted  func(*mutant) bool // by key; nil: all
	mutants []mutant

	src     []byte // of the current file
	file    *token.File
	imports map[string]string // name by path
	name    string
	fn      string
	results []*types.Tuple    // of the functions around the current place
	listed  map[ast.Stmt]bool // is in a list of statements
	seen    map[string]int
	next    int
}

// render returns the file's source with its mutants. Every line keeps its number.
func (s *schema) render(f *ast.File, name string, src []byte) string {
	s.src, s.name, s.file = src, name, s.fset.File(f.Pos())
	s.imports, s.listed = map[string]string{}, map[ast.Stmt]bool{}
	for _, i := range f.Imports {
		if p, ok := s.info.Implicits[i].(*types.PkgName); ok {
			s.imports[p.Imported().Path()] = p.Name()
		} else if i.Name != nil {
			s.imports[strings.Trim(i.Path.Value, `"`)] = i.Name.Name
		}
	}
	var b strings.Builder
	at := f.FileStart
	for _, d := range f.Decls {
		fd, ok := d.(*ast.FuncDecl)
		if !ok || fd.Body == nil {
			continue
		}
		s.fn = funcName(fd)
		b.WriteString(s.text(at, fd.Body.Pos()))
		sig := s.info.Defs[fd.Name].Type().(*types.Signature)
		b.WriteString(s.function(sig, fd.Body))
		at = fd.Body.End()
	}
	b.WriteString(s.text(at, f.FileEnd))
	return b.String()
}

func funcName(fd *ast.FuncDecl) string {
	if fd.Recv == nil {
		return fd.Name.Name
	}
	t := fd.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + fd.Name.Name
		default:
			return fd.Name.Name
		}
	}
}

func (s *schema) text(from, to token.Pos) string {
	return string(s.src[s.file.Offset(from):s.file.Offset(to)])
}

func (s *schema) source(n ast.Node) string { return s.text(n.Pos(), n.End()) }

// brief returns a node's source in one line, shortened.
func (s *schema) brief(n ast.Node) string {
	t := strings.Join(strings.Fields(s.source(n)), " ")
	if r := []rune(t); len(r) > 70 {
		t = string(r[:50]) + " … " + string(r[len(r)-17:])
	}
	return t
}

// add adds a mutant and returns its id. If the mutant is not wanted, the id is 0, which is
// never switched on.
func (s *schema) add(n ast.Node, kind, before, after string) int {
	m := mutant{kind: kind, file: s.name, line: s.file.Line(n.Pos()), fn: s.fn, change: before + " → " + after}
	place := m.key()
	m.again = s.seen[place]
	s.seen[place]++
	if s.wanted != nil && !s.wanted(&m) {
		return 0
	}
	s.next++
	m.id = s.next
	s.mutants = append(s.mutants, m)
	return m.id
}

func (s *schema) function(sig *types.Signature, body *ast.BlockStmt) string {
	s.results = append(s.results, sig.Results())
	out := s.stmt(body)
	s.results = s.results[:len(s.results)-1]
	return out
}

// inside returns the node's source with its children rendered.
func (s *schema) inside(n ast.Node) string {
	var children []ast.Node
	ast.Inspect(n, func(c ast.Node) bool {
		if c == n {
			return true
		}
		if c != nil {
			children = append(children, c)
		}
		return false
	})
	slices.SortStableFunc(children, func(a, b ast.Node) int { return int(a.Pos() - b.Pos()) })
	var b strings.Builder
	at := n.Pos()
	for _, c := range children {
		b.WriteString(s.text(at, c.Pos()))
		switch c := c.(type) {
		case ast.Expr:
			b.WriteString(s.expr(c))
		case ast.Stmt:
			b.WriteString(s.stmt(c))
		default:
			b.WriteString(s.inside(c))
		}
		at = c.End()
	}
	b.WriteString(s.text(at, n.End()))
	return b.String()
}

// lines returns as many newlines as the source has between two places, so that rendered
// code has as many lines.
func (s *schema) lines(from, to token.Pos) string {
	return strings.Repeat("\n", strings.Count(s.text(from, to), "\n"))
}

// typeName writes a type as the current file does; false if the file lacks the import.
func (s *schema) typeName(t types.Type) (string, bool) {
	ok := true
	name := types.TypeString(t, func(p *types.Package) string {
		if p == s.pkg {
			return ""
		}
		n, known := s.imports[p.Path()]
		ok = ok && known
		return n
	})
	return name, ok
}
