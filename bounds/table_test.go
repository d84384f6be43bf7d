package bounds_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// Every constant is in the table.
func TestTheTableHasEveryBound(t *testing.T) {
	files := token.NewFileSet()
	constants, err := parser.ParseFile(files, "bounds.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	table, err := parser.ParseFile(files, "table.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	ast.Inspect(table, func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok {
			used[name.Name] = true
		}
		return true
	})
	for _, decl := range constants.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if !used[name.Name] {
					t.Errorf("bounds.All does not tell %s", name.Name)
				}
			}
		}
	}
}
