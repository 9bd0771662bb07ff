package tools

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// declared is where an exported name is declared. The same name of a package and
// of its test variant is one.
type declared struct {
	file   string
	offset int
}

// outside lists what is exported for the tests of other modules.
var outside = map[string]bool{"Run": true} // of package fixtures

// TestExportedMeansUsedElsewhere finds exported names that no other folder uses.
func TestExportedMeansUsedElsewhere(t *testing.T) {
	fset := token.NewFileSet()
	loaded, err := packages.Load(&packages.Config{Dir: "..", Fset: fset, Tests: true,
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps}, "./...")
	if err != nil || packages.PrintErrors(loaded) > 0 {
		t.Fatal("the module does not load", err)
	}
	used := usedElsewhere(fset, loaded)
	ofInterfaces := interfaceMethods(loaded)
	names := map[string]int{} // exported names, by package
	for _, p := range loaded {
		if strings.Contains(p.ID, "[") || strings.HasSuffix(p.ID, ".test") || p.Name == "main" || !strings.HasPrefix(p.PkgPath, module) {
			continue
		}
		for _, o := range exported(p.Types) {
			if _, method := o.(*types.Func); method && o.Parent() == nil {
				if ofInterfaces[o.Name()] {
					continue
				}
			} else {
				names[p.PkgPath]++
			}
			if at := fset.Position(o.Pos()); !used[declared{at.Filename, at.Offset}] && !outside[o.Name()] {
				t.Errorf("%s: no other package uses %s: it need not be exported", relative(at.String()), o.Name())
			}
		}
	}
	if len(names) < 10 {
		t.Errorf("only %d packages were looked at", len(names))
	}
	for _, path := range slices.Sorted(maps.Keys(names)) {
		t.Logf("%3d exported names in %s", names[path], strings.TrimPrefix(path, module+"/"))
	}
}

// exported lists the exported names of a package, and the exported methods of its types.
func exported(p *types.Package) (list []types.Object) {
	for _, name := range p.Scope().Names() {
		o := p.Scope().Lookup(name)
		if o.Exported() {
			list = append(list, o)
		}
		if n, ok := o.Type().(*types.Named); ok {
			if _, isType := o.(*types.TypeName); isType {
				for m := range n.Methods() {
					if m.Exported() {
						list = append(list, m)
					}
				}
			}
		}
	}
	return list
}

// usedElsewhere finds the declarations that a file of another folder refers to, or
// of whose type it has a value.
func usedElsewhere(fset *token.FileSet, loaded []*packages.Package) map[declared]bool {
	used := map[declared]bool{}
	use := func(at token.Pos, o types.Object) {
		from, to := fset.Position(at), fset.Position(o.Pos())
		if o.Exported() && filepath.Dir(from.Filename) != filepath.Dir(to.Filename) {
			used[declared{to.Filename, to.Offset}] = true
		}
	}
	for _, p := range loaded {
		for id, o := range p.TypesInfo.Uses {
			switch f := o.(type) { // of generic code, the declaration counts
			case *types.Func:
				o = f.Origin()
			case *types.Var:
				o = f.Origin()
			}
			use(id.Pos(), o)
		}
		for e, of := range p.TypesInfo.Types {
			if n := named(of.Type); n != nil {
				use(e.Pos(), n.Obj())
			}
		}
	}
	useFields(fset, loaded, used)
	for _, p := range loaded { // constants of a type are one set
		for _, name := range p.Types.Scope().Names() {
			if c, ok := p.Types.Scope().Lookup(name).(*types.Const); ok {
				if n := named(c.Type()); n != nil && n.Obj().Pkg() == c.Pkg() {
					if at := fset.Position(n.Obj().Pos()); used[declared{at.Filename, at.Offset}] {
						at := fset.Position(c.Pos())
						used[declared{at.Filename, at.Offset}] = true
					}
				}
			}
		}
	}
	return used
}

// useFields adds the types of exported fields: who has the struct has the field.
func useFields(fset *token.FileSet, loaded []*packages.Package, used map[declared]bool) {
	for grows := true; grows; {
		grows = false
		for _, p := range loaded {
			for _, o := range exported(p.Types) {
				fields, ok := o.Type().Underlying().(*types.Struct)
				if at := fset.Position(o.Pos()); !ok || !used[declared{at.Filename, at.Offset}] {
					continue
				}
				for f := range fields.Fields() {
					n := named(f.Type())
					if n == nil || !f.Exported() {
						continue
					}
					at := fset.Position(n.Obj().Pos())
					if d := (declared{at.Filename, at.Offset}); !used[d] {
						used[d], grows = true, true
					}
				}
			}
		}
	}
}

// named returns the named type of a value, of what it points to, or of its elements.
func named(t types.Type) *types.Named {
	for {
		switch u := t.(type) {
		case *types.Named:
			return u.Origin()
		case *types.Pointer:
			t = u.Elem()
		case *types.Slice:
			t = u.Elem()
		case *types.Map:
			t = u.Elem()
		default:
			return nil
		}
	}
}

// interfaceMethods names the methods of all interfaces that the module can refer to,
// those of the standard library included: a type may have such a method for them.
func interfaceMethods(loaded []*packages.Package) map[string]bool {
	names := map[string]bool{"Error": true, "Unwrap": true, "Is": true, "As": true}
	packages.Visit(loaded, nil, func(p *packages.Package) {
		if p.Types == nil {
			return
		}
		for _, name := range p.Types.Scope().Names() {
			if i, ok := p.Types.Scope().Lookup(name).Type().Underlying().(*types.Interface); ok {
				for m := range i.Methods() {
					names[m.Name()] = true
				}
			}
		}
		for _, f := range p.Syntax { // also those without a name
			ast.Inspect(f, func(n ast.Node) bool {
				if i, ok := n.(*ast.InterfaceType); ok && strings.HasPrefix(p.PkgPath, module) {
					for _, m := range i.Methods.List {
						for _, id := range m.Names {
							names[id.Name] = true
						}
					}
				}
				return true
			})
		}
	})
	return names
}

func relative(at string) string {
	root, err := filepath.Abs("..")
	if err != nil {
		return at
	}
	return strings.TrimPrefix(at, root+"/")
}
