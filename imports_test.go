package mrelease_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mrelease/mrelease/"

// eachFile visits the files of the module's packages, tests left out.
func eachFile(t *testing.T, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (slices.Contains([]string{"sandbox", "tools", "testdata", "node_modules", "build", "dist", "examples"}, entry.Name()) || strings.HasPrefix(entry.Name(), ".") && file != ".") {
			return fs.SkipDir
		}
		if strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") {
			visit(filepath.ToSlash(file))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// imports returns what each package of the module imports.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	eachFile(t, func(file string) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		pkg := path.Dir(file)
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			found[pkg] = append(found[pkg], name)
		}
	})
	return found
}

// allowed reads the table "Imports" of DESIGN.md.
func allowed(t *testing.T) map[string][]string {
	t.Helper()
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(design), "\n## Imports\n")
	if !ok {
		t.Fatal("DESIGN.md has no section Imports")
	}
	table := map[string][]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[1]) == "package" {
			continue
		}
		var names []string
		if list := strings.TrimSpace(cells[2]); list != "nothing" {
			for name := range strings.SplitSeq(list, ",") {
				names = append(names, strings.TrimSpace(name))
			}
		}
		name := strings.TrimSpace(cells[1])
		if _, twice := table[name]; twice {
			t.Errorf("the table of DESIGN.md has %s twice", name)
		}
		table[name] = names
	}
	return table
}

func TestImportsAreThoseOfTheDesign(t *testing.T) {
	table := allowed(t)
	for pkg, names := range imports(t) {
		may, ok := table[pkg]
		if !ok {
			t.Errorf("package %s is not in the table of DESIGN.md", pkg)
		}
		for _, name := range names {
			own, isOwn := strings.CutPrefix(name, module)
			if isOwn && !slices.Contains(may, own) {
				t.Errorf("package %s imports %s, which the table of DESIGN.md does not allow", pkg, own)
			}
		}
	}
	found := imports(t)
	for pkg, may := range table {
		if len(found[pkg]) == 0 {
			t.Errorf("the table of DESIGN.md has %s, which is no package", pkg)
		}
		for _, name := range may {
			if len(found[pkg]) > 0 && !slices.Contains(found[pkg], module+name) {
				t.Errorf("the table of DESIGN.md allows %s to import %s, which it does not", pkg, name)
			}
		}
	}
}

// A decision is a paragraph of its own, and told once.
func TestDecisionsOfTheDesign(t *testing.T) {
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(design), "\n## Decisions\n\n")
	section, _, ok := strings.Cut(section, "\n## ")
	if !ok {
		t.Fatal("DESIGN.md has no section Decisions")
	}
	seen := map[string]bool{}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(section), "\n\n") {
		if strings.Contains(paragraph, "\n**") {
			t.Errorf("two decisions of DESIGN.md in one paragraph: %.80s", paragraph)
		}
		decision, _, bold := strings.Cut(strings.TrimPrefix(paragraph, "**"), "**")
		if bold && strings.HasPrefix(paragraph, "**") && seen[decision] {
			t.Errorf("DESIGN.md has the decision twice: %s", decision)
		}
		seen[decision] = true
	}
	if n := strings.Count(string(design), "\nBesides: "); n != 1 {
		t.Errorf("DESIGN.md says %d times what there is besides its table", n)
	}
}

// The design's layout names each place once, and what is there.
func TestLayoutIsThatOfTheDesign(t *testing.T) {
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(design), "\n## Layout\n\n```\n")
	section, _, ok := strings.Cut(section, "```")
	if !ok {
		t.Fatal("DESIGN.md has no section Layout")
	}
	seen := map[string]bool{}
	for line := range strings.Lines(section) {
		name := strings.Fields(line)[0]
		if seen[name] {
			t.Errorf("the layout of DESIGN.md has %s twice", name)
		}
		seen[name] = true
		if _, err := os.Stat(filepath.FromSlash(name)); err != nil {
			t.Errorf("the layout of DESIGN.md has %s, which is not there", name)
		}
	}
}

// Outside modules that only some packages may know.
func TestHeavyModulesStayInTheirPackages(t *testing.T) {
	homes := map[string][]string{
		"github.com/sigstore/":                       {"publish/registry", "publish/registry/keyless", "publish/registry/signing"},
		"github.com/ethereum/go-ethereum/ethclient":  {"node"},
		"github.com/ethereum/go-ethereum/accounts/k": {"node"},
		"github.com/moby/buildkit":                   {"buildkit", "buildkit/engine"},
		"github.com/containerd/":                     {"buildkit", "buildkit/engine"},
		"github.com/spf13/":                          {"cmd/approvals", "cmd/canaries", "cmd/owners", "cmd/mrelease", "cmd/orders", "cmd/requests", "cmd/usage"},
		"golang.org/x/term":                          {"cmd/mrelease"},
		"github.com/sethvargo/go-githubactions":      {"ci"},
		"github.com/go-git/go-git":                   {"source"},
		"os/exec":                                    {"buildkit/engine", "buildkit/reach", "buildkit/rootless", "source", "logins", "canary"}, // DESIGN.md says what for
		"testing":                                    {},
	}
	for pkg, names := range imports(t) {
		for _, name := range names {
			for prefix, home := range homes {
				if strings.HasPrefix(name, prefix) && !slices.Contains(home, pkg) {
					t.Errorf("package %s imports %s", pkg, name)
				}
			}
		}
	}
}

// go-containerregistry's keychain and Docker's reader of config.json read the environment and do not
// know what CI systems have: package logins does.
func TestLoginsAreFoundInOnePlace(t *testing.T) {
	eachFile(t, func(file string) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"DefaultKeychain", "GetCredentialsStore", "GetAuthConfig("} {
			if strings.Contains(string(text), name) {
				t.Errorf("%s uses %s", file, name)
			}
		}
	})
}

// What is the process's own, not a package's: whoever imports the packages has an
// environment and streams of their own.
func TestTheProcessIsTheCommandsOwn(t *testing.T) {
	own := []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Stdin", "Stdout", "Stderr", "Exit", "Args"}
	eachFile(t, func(file string) {
		if strings.HasPrefix(file, "cmd/") || file == "silence/silence.go" { // which keeps libraries off the streams
			return
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "os" && slices.Contains(own, s.Sel.Name) {
					t.Errorf("%s uses os.%s", file, s.Sel.Name)
				}
			}
			return true
		})
	})
}

// The runtime's name stands where its habits are known.
func TestRuntimeNameStaysInItsFiles(t *testing.T) {
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{"sandbox", "tools", "build", "examples", ".git"}, entry.Name()) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") ||
			file == "measure/scone.go" || strings.HasPrefix(file, "buildkit/seal") || strings.HasPrefix(file, "poco/") {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if strings.Contains(strings.ToUpper(line), "SCONE") && !strings.Contains(line, "SconeFingerprint") {
				t.Errorf("%s:%d: %s", file, i+1, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
