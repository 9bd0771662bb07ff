package tools

import (
	"go/constant"
	"go/types"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// The table of limits in the document of package capture names constants, with their
// values.
func TestLimitsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../capture/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "# Limits\n")
	table, _, _ = strings.Cut(table, "# What surprises\n")
	rows := regexp.MustCompile(`(?m)^//\t.* {2,}([\d,]+)( KiB| MiB)? +([\w/]+)\.(\w+)$`).FindAllStringSubmatch(table, -1)
	if lines := strings.Count(table, "\n//\t") - 1; len(rows) < 40 || len(rows) != lines {
		t.Fatalf("%d of %d lines of the table name a constant", len(rows), lines)
	}
	loaded, err := packages.Load(&packages.Config{Dir: "..", Mode: packages.NeedName | packages.NeedTypes | packages.NeedImports | packages.NeedDeps | packages.NeedSyntax | packages.NeedTypesInfo}, "./...")
	if err != nil || packages.PrintErrors(loaded) > 0 {
		t.Fatal("the module does not load", err)
	}
	byPath := map[string]*types.Scope{}
	for _, p := range loaded {
		byPath[strings.TrimPrefix(p.PkgPath, module+"/")] = p.Types.Scope()
	}
	for _, row := range rows {
		want, err := strconv.ParseInt(strings.ReplaceAll(row[1], ",", ""), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		want <<= map[string]int{"": 0, " KiB": 10, " MiB": 20}[row[2]]
		scope := byPath[row[3]]
		if scope == nil {
			t.Errorf("there is no package %s", row[3])
			continue
		}
		c, isConst := scope.Lookup(row[4]).(*types.Const)
		if !isConst {
			t.Errorf("%s has no constant %s", row[3], row[4])
		} else if got, _ := constant.Int64Val(constant.ToInt(c.Val())); got != want {
			t.Errorf("%s.%s is %d, the table says %d", row[3], row[4], got, want)
		}
	}
}
