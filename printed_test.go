package mrelease_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// Whatever is shown goes through package printable: only silence hands out the streams, only
// output.go has words that are shown as they are, and only ci gives commands.
func TestAllIsPrintedThroughPrintable(t *testing.T) {
	homes := map[string][]string{
		"os.Stdout":     {"silence/silence.go"},
		"os.Stderr":     {"silence/silence.go"},
		"printable.Own": {"cmd/mrelease/output.go", "cmd/mrelease/plan.go"},
		"fmt.Print":     {}, "fmt.Printf": {}, "fmt.Println": {},
		"Verbatim": {"ci/github.go", "ci/gitlab.go"}, // of a printable.Writer
	}
	eachFile(t, func(file string) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			names := []string{s.Sel.Name}
			if pkg, ok := s.X.(*ast.Ident); ok {
				names = append(names, pkg.Name+"."+s.Sel.Name)
			}
			for _, name := range names {
				if home, listed := homes[name]; listed && !slices.Contains(home, file) {
					t.Errorf("%s uses %s", file, name)
				}
			}
			return true
		})
	})
}
