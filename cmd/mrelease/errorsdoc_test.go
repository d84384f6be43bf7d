package main

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/cmd/approvals"
	"github.com/mrelease/mrelease/cmd/canaries"
	"github.com/mrelease/mrelease/cmd/orders"
	"github.com/mrelease/mrelease/cmd/requests"
	"github.com/mrelease/mrelease/cmd/usage"
)

var writeErrors = flag.Bool("write-errors", false, "write docs/errors.md anew")

// told is a row of docs/errors.md.
type told struct{ code, exit, means, remedy string }

// The page on errors has what the tables of errors have, and of each error what its type
// is documented to say. "go test ./cmd/mrelease -run TestErrorsPage -write-errors" writes
// it.
func TestErrorsPage(t *testing.T) {
	var rows []told
	for path, rules := range map[string][]usage.Rule{
		"explain.go": rules(), "../requests/explain.go": requests.Rules(), "../orders/explain.go": orders.Rules(), "../canaries/explain.go": canaries.Rules(), "../approvals/explain.go": approvals.Rules(),
	} {
		meanings := meanings(t, path)
		if len(meanings) != len(rules) {
			t.Fatalf("%s has %d rules, and %d are read", path, len(rules), len(meanings))
		}
		for i, r := range rules {
			rows = append(rows, told{r.Code, strconv.Itoa(r.Exit), meanings[i], r.Remedy(nil)})
		}
	}
	rows = append(rows, told{"E-UNEXPECTED", "1", "an error that no package has a name for", "run again; if it persists, report it with the output"})
	slices.SortFunc(rows, func(a, b told) int {
		return cmp.Or(strings.Compare(a.code, b.code), strings.Compare(a.means, b.means), strings.Compare(a.exit+a.remedy, b.exit+b.remedy))
	})
	var page strings.Builder
	page.WriteString("# Errors\n\nAn error has a code, what happened, the evidence (expected, actual, where) and a remedy. `--json` has the same in a document (`mrelease.error/v1`). This page is made from the program's own tables; a test compares them.\n\n| code | exit | what it means | what to do |\n|---|---|---|---|\n")
	for _, r := range rows {
		remedy := cmp.Or(r.remedy, "as the error says: it knows more")
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", r.code, r.exit, cell(r.means), cell(remedy))
	}
	const path = "../../docs/errors.md"
	if *writeErrors {
		if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != page.String() {
		t.Errorf("docs/errors.md is not what the tables say (%v): run this test with -write-errors", err)
	}
	for _, r := range rows {
		if r.means == "" {
			t.Errorf("nothing says what %s means", r.code)
		}
	}
}

func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "|", `\|`), "<", "&lt;")
}

// meanings reads of a table of errors, as it is written, what the matching types and
// functions are documented to say.
func meanings(t *testing.T, path string) (all []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	docs := docsOf(t, file, filepath.Dir(path))
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && wordsOf(call.Fun) == "on" {
			all = append(all, docs.of(call.Args[0]))
		}
		return true
	})
	return all
}

// docs are the first sentences of what types and functions are documented to be, by
// package and name.
type docs map[string]string

// docsOf reads those of a file's package, and of the packages of this module that it
// imports.
func docsOf(t *testing.T, file *ast.File, dir string) docs {
	t.Helper()
	all := docs{}
	all.add(t, "", dir)
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if below, ours := strings.CutPrefix(path, "github.com/mrelease/mrelease/"); ours {
			all.add(t, filepath.Base(below)+".", filepath.Join("../..", below))
		}
	}
	return all
}

func (d docs) add(t *testing.T, prefix, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil {
					d[prefix+decl.Name.Name] = sentence(decl.Name.Name, decl.Doc.Text())
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if named, ok := spec.(*ast.TypeSpec); ok {
						d[prefix+named.Name.Name] = sentence(named.Name.Name, cmp.Or(named.Doc.Text(), decl.Doc.Text()))
					}
				}
			}
		}
	}
}

// sentence returns what a documentation says of a name, without its first words.
func sentence(name, doc string) string {
	doc = strings.Join(strings.Fields(doc), " ")
	doc, _, _ = strings.Cut(doc, ". ")
	doc = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(doc, "An "), "A "), name+" "), ".")
	for _, words := range []string{"says that ", "says ", "holds ", "matches ", "is ", "reports whether "} {
		if rest, ok := strings.CutPrefix(doc, words); ok {
			return rest
		}
	}
	return doc
}

// of returns the documentation of what matches an error.
func (d docs) of(matches ast.Expr) string {
	switch m := matches.(type) {
	case *ast.IndexExpr: // usage.Is[*registry.LoginError]
		return d.of(m.Index)
	case *ast.IndexListExpr: // either[*keyless.RootError, *record.RootlessError]
		return d.of(m.Indices[0]) + "; or " + d.of(m.Indices[1])
	case *ast.StarExpr:
		return d.of(m.X)
	case *ast.CallExpr: // ordered(node.SoldOut)
		return d.of(m.Fun) + ": " + wordsOf(m.Args[0])
	case *ast.SelectorExpr:
		return d[m.X.(*ast.Ident).Name+"."+m.Sel.Name]
	case *ast.Ident:
		return d[m.Name]
	case *ast.FuncLit:
		var found string
		ast.Inspect(m.Body, func(n ast.Node) bool {
			if e, ok := n.(*ast.StarExpr); ok && found == "" {
				found = d.of(e)
			}
			return true
		})
		return cmp.Or(found, "the program was told to stop")
	}
	return ""
}

// wordsOf returns the words of a constant's or function's name in another package.
func wordsOf(e ast.Expr) string {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	var words strings.Builder
	for i, r := range selector.Sel.Name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			words.WriteByte(' ')
		}
		words.WriteRune(r)
	}
	return strings.ToLower(words.String())
}
