package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"
)

// swapped maps operators to their replacements.
var swapped = map[token.Token]token.Token{
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.MUL,
	token.AND: token.OR, token.OR: token.AND, token.XOR: token.AND, token.AND_NOT: token.AND,
	token.SHL: token.SHR, token.SHR: token.SHL,

	token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN, token.MUL_ASSIGN: token.QUO_ASSIGN,
	token.QUO_ASSIGN: token.MUL_ASSIGN, token.REM_ASSIGN: token.MUL_ASSIGN, token.AND_ASSIGN: token.OR_ASSIGN,
	token.OR_ASSIGN: token.AND_ASSIGN, token.XOR_ASSIGN: token.AND_ASSIGN, token.AND_NOT_ASSIGN: token.AND_ASSIGN,
	token.SHL_ASSIGN: token.SHR_ASSIGN, token.SHR_ASSIGN: token.SHL_ASSIGN,

	token.LAND: token.LOR, token.LOR: token.LAND, token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
}

// negated maps comparisons to their negation, if that is not the swapped operator.
var negated = map[token.Token]token.Token{
	token.LSS: token.GEQ, token.LEQ: token.GTR, token.GTR: token.LEQ, token.GEQ: token.LSS,
}

// helpers maps operators to functions of switch.go.txt. A function applies the operator or,
// if its mutant is switched on, the replacement.
var helpers = map[token.Token]string{
	token.ADD: "mutAdd", token.SUB: "mutSub", token.MUL: "mutMul", token.QUO: "mutQuo", token.REM: "mutRem",
	token.AND: "mutAnd", token.OR: "mutOr", token.XOR: "mutXor", token.AND_NOT: "mutAndNot",
	token.SHL: "mutShl", token.SHR: "mutShr",
	token.LSS: "mutLss", token.LEQ: "mutLeq", token.GTR: "mutGtr", token.GEQ: "mutGeq",
}

func (s *schema) expr(e ast.Expr) string {
	tv := s.info.Types[e]
	if tv.IsType() {
		return s.source(e)
	}
	if tv.Value != nil {
		return s.constant(e, tv)
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return s.binary(e)
	case *ast.UnaryExpr:
		if e.Op == token.NOT {
			id := s.add(e, "logic", s.brief(e), s.brief(e.X))
			return flip("!("+s.expr(e.X)+")", id)
		}
	case *ast.KeyValueExpr: // a field's name, or an index that must be constant
		return s.source(e.Key) + ":" + s.lines(e.Key.End(), e.Value.Pos()) + s.expr(e.Value)
	case *ast.FuncLit:
		return s.source(e.Type) + " " + s.function(s.info.Types[e].Type.(*types.Signature), e.Body)
	case *ast.CompositeLit:
		return s.elements(e)
	}
	return s.inside(e)
}

// elements renders a composite literal. It does not change the type.
func (s *schema) elements(e *ast.CompositeLit) string {
	out, at := "", e.Pos()
	for _, x := range e.Elts {
		out += s.text(at, x.Pos()) + s.expr(x)
		at = x.End()
	}
	return out + s.text(at, e.End())
}

// constant adds one to whole numbers, and negates true and false.
func (s *schema) constant(e ast.Expr, tv types.TypeAndValue) string {
	basic, ok := tv.Type.Underlying().(*types.Basic)
	if !ok || basic.Info()&types.IsUntyped != 0 && basic.Kind() != types.UntypedBool {
		return s.source(e)
	}
	switch {
	case tv.Value.Kind() == constant.Bool:
		id := s.add(e, "constant", s.brief(e), fmt.Sprint(!constant.BoolVal(tv.Value)))
		return flip(s.source(e), id)
	case basic.Info()&types.IsInteger != 0:
		if name, ok := s.typeName(tv.Type); ok {
			id := s.add(e, "constant", s.brief(e), "("+s.brief(e)+")+1")
			return call("mutInt["+name+"]", id, s.source(e))
		}
	}
	return s.source(e)
}

func (s *schema) binary(e *ast.BinaryExpr) string {
	gap := s.lines(e.X.End(), e.Y.Pos())
	x, y := s.brief(e.X), s.brief(e.Y)
	change := func(kind string, op token.Token) int {
		return s.add(e, kind, x+" "+e.Op.String()+" "+y, x+" "+op.String()+" "+y)
	}
	to := swapped[e.Op]
	switch e.Op {
	case token.LAND, token.LOR:
		swap := change("logic", to)
		left, right := s.add(e, "logic", s.brief(e), y), s.add(e, "logic", s.brief(e), x)
		whether := map[token.Token]string{token.LAND: "mut(%d) || (%s)", token.LOR: "!mut(%d) && (%s)"}[e.Op]
		operand := func(e ast.Expr, id int) string {
			if id == 0 {
				return flip(s.expr(e), swap)
			}
			return flip(fmt.Sprintf(whether, id, s.expr(e)), swap)
		}
		// a || b is !(!a && !b)
		return flip(operand(e.X, left)+" "+e.Op.String()+" "+gap+operand(e.Y, right), swap)
	case token.EQL, token.NEQ:
		id := change("comparison", to)
		return flip(fmt.Sprintf("(%s) %s %s(%s)", s.expr(e.X), e.Op, gap, s.expr(e.Y)), id)
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		near, not := change("comparison", to), change("comparison", negated[e.Op])
		if near == 0 {
			return flip(s.inside(e), not)
		}
		return flip(call(helpers[e.Op], near, s.expr(e.X), gap+s.expr(e.Y)), not)
	}
	t := s.info.Types[e].Type
	name, ok := s.typeName(t)
	basic, is := t.Underlying().(*types.Basic)
	if helpers[e.Op] == "" || !ok || !is || basic.Info()&types.IsInteger == 0 {
		return s.inside(e)
	}
	id := change("arithmetic", to)
	if id == 0 {
		return s.inside(e)
	}
	return call(helpers[e.Op]+"["+name+"]", id, s.expr(e.X), gap+s.expr(e.Y))
}

// condition renders the condition of a branch. It adds a negation if expr adds none.
func (s *schema) condition(e ast.Expr) string {
	switch x := ast.Unparen(e).(type) {
	case *ast.BinaryExpr:
		if x.Op != token.LAND && x.Op != token.LOR {
			return s.expr(e)
		}
	case *ast.UnaryExpr:
		return s.expr(e)
	}
	if s.info.Types[e].Value != nil {
		return s.expr(e)
	}
	id := s.add(e, "condition", s.brief(e), "!("+s.brief(e)+")")
	return flip(s.expr(e), id)
}

// flip negates a condition if its mutant is switched on.
func flip(text string, id int) string {
	if id == 0 {
		return "(" + text + ")"
	}
	return fmt.Sprintf("((%s) != mut(%d))", text, id)
}

// call renders a call of a helper, or only its argument if there is no mutant.
func call(helper string, id int, args ...string) string {
	if id == 0 && len(args) == 1 {
		return args[0]
	}
	return fmt.Sprintf("%s(%d, %s)", helper, id, strings.Join(args, ", "))
}
