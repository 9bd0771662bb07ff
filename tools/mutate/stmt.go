package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"
)

func (s *schema) stmt(st ast.Stmt) string {
	switch st := st.(type) {
	case *ast.BlockStmt:
		s.list(st.List)
	case *ast.CaseClause:
		s.list(st.Body)
	case *ast.CommClause:
		s.list(st.Body)
	case *ast.IfStmt:
		return s.ifStmt(st)
	case *ast.ForStmt:
		return s.forStmt(st)
	case *ast.SwitchStmt:
		if st.Tag == nil {
			return s.bareSwitch(st)
		}
	case *ast.ReturnStmt:
		return s.returnStmt(st)
	case *ast.DeclStmt:
		if d, ok := st.Decl.(*ast.GenDecl); ok && d.Tok != token.VAR {
			return s.source(st)
		}
	case *ast.ExprStmt:
		if call, ok := st.X.(*ast.CallExpr); ok && s.listed[st] {
			if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "panic" {
				return s.removable(st, s.inside(st))
			}
		}
	case *ast.AssignStmt:
		return s.assign(st)
	case *ast.IncDecStmt:
		if s.listed[st] {
			other := map[token.Token]string{token.INC: "--", token.DEC: "++"}[st.Tok]
			x := s.expr(st.X)
			return s.orElse(s.add(st, "arithmetic", s.brief(st), s.brief(st.X)+other), x+other, s.removable(st, x+st.Tok.String()))
		}
	case *ast.BranchStmt:
		if s.listed[st] && (st.Tok == token.BREAK || st.Tok == token.CONTINUE) {
			return s.removable(st, s.source(st))
		}
		return s.source(st)
	case *ast.LabeledStmt:
		return s.text(st.Pos(), st.Stmt.Pos()) + s.stmt(st.Stmt)
	}
	return s.inside(st)
}

func (s *schema) list(stmts []ast.Stmt) {
	for _, st := range stmts {
		s.listed[st] = true
	}
}

// removable renders a statement that does not run if its mutant is switched on.
func (s *schema) removable(st ast.Stmt, text string) string {
	id := s.add(st, "statement", s.brief(st), "nothing")
	if id == 0 {
		return text
	}
	return fmt.Sprintf("if !mut(%d) { %s }", id, text)
}

// orElse renders two statements; the mutant switches from the second to the first.
func (s *schema) orElse(id int, then, otherwise string) string {
	if id == 0 {
		return otherwise
	}
	return fmt.Sprintf("if mut(%d) { %s } else { %s }", id, then, otherwise)
}

func (s *schema) assign(st *ast.AssignStmt) string {
	if st.Tok == token.DEFINE {
		return s.text(st.Pos(), st.Rhs[0].Pos()) + s.exprs(st.Rhs)
	}
	text := s.exprs(st.Lhs) + s.text(st.Lhs[len(st.Lhs)-1].End(), st.Rhs[0].Pos()) + s.exprs(st.Rhs)
	if !s.listed[st] {
		return text
	}
	if id, ok := st.Lhs[0].(*ast.Ident); ok && id.Name == "_" && len(st.Lhs) == 1 {
		return text
	}
	original := s.removable(st, text)
	op := swapped[st.Tok]
	if op == token.ILLEGAL {
		return original
	}
	basic, is := s.info.Types[st.Lhs[0]].Type.Underlying().(*types.Basic)
	if !is || basic.Info()&types.IsInteger == 0 || strings.Contains(text, "\n") {
		return original
	}
	then := s.source(st.Lhs[0]) + " " + op.String() + " " + s.source(st.Rhs[0])
	return s.orElse(s.add(st, "arithmetic", s.brief(st), s.brief(st.Lhs[0])+" "+op.String()+" "+s.brief(st.Rhs[0])), then, original)
}

// exprs renders a list with the source between its elements.
func (s *schema) exprs(list []ast.Expr) string {
	out := ""
	for i, e := range list {
		if i > 0 {
			out += s.text(list[i-1].End(), e.Pos())
		}
		out += s.expr(e)
	}
	return out
}

func (s *schema) ifStmt(st *ast.IfStmt) string {
	out := "if "
	if st.Init != nil {
		out += s.stmt(st.Init) + "; "
	}
	out += s.condition(st.Cond) + " " + s.stmt(st.Body)
	if st.Else != nil {
		out += " else " + s.stmt(st.Else)
	}
	return out
}

func (s *schema) forStmt(st *ast.ForStmt) string {
	if st.Cond == nil {
		return s.inside(st)
	}
	out := "for "
	if st.Init != nil {
		out += s.stmt(st.Init)
	}
	out += "; " + s.condition(st.Cond) + "; "
	if st.Post != nil {
		out += s.stmt(st.Post)
	}
	return out + " " + s.stmt(st.Body)
}

// bareSwitch renders a switch whose cases are conditions.
func (s *schema) bareSwitch(st *ast.SwitchStmt) string {
	out, at := "switch ", st.Body.Pos()
	if st.Init != nil {
		out += s.stmt(st.Init) + "; "
	}
	for _, c := range st.Body.List {
		c := c.(*ast.CaseClause)
		s.list(c.Body)
		for _, e := range c.List {
			out += s.text(at, e.Pos()) + s.condition(e)
			at = e.End()
		}
		for _, b := range c.Body {
			out += s.text(at, b.Pos()) + s.stmt(b)
			at = b.End()
		}
	}
	return out + s.text(at, st.End())
}

// returnStmt adds a mutant with the zero value for every result.
func (s *schema) returnStmt(st *ast.ReturnStmt) string {
	results := s.results[len(s.results)-1]
	if len(st.Results) == 0 || len(st.Results) != results.Len() {
		return s.inside(st)
	}
	out, at := "", st.Pos()
	for i, e := range st.Results {
		out += s.text(at, e.Pos()) + s.result(e, results.At(i).Type())
		at = e.End()
	}
	return out
}

func (s *schema) result(e ast.Expr, t types.Type) string {
	tv := s.info.Types[e]
	name, ok := s.typeName(t)
	if !ok || tv.IsNil() || tv.Value != nil && (tv.Value.Kind() != constant.String || constant.StringVal(tv.Value) == "") {
		return s.expr(e)
	}
	before := "return … " + s.brief(e)
	if b, is := t.Underlying().(*types.Basic); is && b.Kind() == types.Bool {
		no, yes := s.add(e, "return", before, "false"), s.add(e, "return", before, "true")
		if no == 0 || yes == 0 {
			return s.expr(e)
		}
		return fmt.Sprintf("(!mut(%d) && (%s) || mut(%d))", no, s.expr(e), yes)
	}
	id := s.add(e, "return", before, "its zero value")
	return call("mutZero["+name+"]", id, s.expr(e))
}
