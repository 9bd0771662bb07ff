package tools

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// grammars are the files of the program that print with package fmt and not with
// quote.Line, and why that is right.
var grammars = map[string]string{
	"capture/live/console.go":    "a status line; it quotes its text",
	"capture/live/summary.go":    "columns; it quotes their texts",
	"capture/quote/text.go":      "quote itself",
	"cmd/topotape/progress.go":   "a line of numbers",
	"fixtures/ingest/summary.go": "returns a text",
	"replay/diff/markdown.go":    "escapes for Markdown",
	"replay/render/dot.go":       "escapes for Graphviz",
	"replay/render/mermaid.go":   "escapes for Mermaid",
}

// TestTextIsWrittenByQuote finds what the program prints with package fmt: text for
// people is written with quote.Line, which leaves nothing that a terminal obeys.
func TestTextIsWrittenByQuote(t *testing.T) {
	seen := map[string]bool{}
	for _, dir := range []string{"capture", "cmd", "fixtures", "replay", "reporter"} {
		err := filepath.WalkDir(filepath.Join("..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test") {
				return err
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			name := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !prints(call) {
					return true
				}
				seen[name] = true
				if grammars[name] == "" {
					t.Errorf("%s: use quote.Line, or quote.Text and the escapes of a grammar", fset.Position(call.Pos()))
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range grammars {
		if !seen[name] {
			t.Errorf("%s prints nothing: remove it from the list", name)
		}
	}
}

// prints reports whether a call prints with package fmt, or with a function of the
// language.
func prints(call *ast.CallExpr) bool {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name == "print" || f.Name == "println"
	case *ast.SelectorExpr:
		of, ok := f.X.(*ast.Ident)
		return ok && (of.Name == "log" || of.Name == "fmt" && (strings.HasPrefix(f.Sel.Name, "Print") || strings.HasPrefix(f.Sel.Name, "Fprint")))
	}
	return false
}
