package mrelease_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each clause of docs/verify.md names tests that show it, and they are there.
func TestClausesOfVerify(t *testing.T) {
	text, err := os.ReadFile("docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	clauses := regexp.MustCompile(`(?m)^- (\d+\.\d+) .*?((?: `+"`"+`[a-z]+[./][A-Za-z-]+`+"`"+`)+)$`).FindAllStringSubmatch(string(text), -1)
	if all := regexp.MustCompile(`(?m)^- \d`).FindAllString(string(text), -1); len(clauses) != len(all) || len(all) < 30 {
		t.Errorf("%d of %d clauses end with their tests", len(clauses), len(all))
	}
	packages := map[string]string{"page": "page", "record": "publish/record", "registry": "publish/registry", "release": "release", "publishtest": "sandbox/publishtest"}
	for _, c := range clauses {
		for _, name := range strings.Fields(strings.ReplaceAll(c[2], "`", "")) {
			if folder, script, ok := strings.Cut(name, "/"); ok {
				if _, err := os.Stat(filepath.Join("sandbox/e2e/testdata", folder, script+".txtar")); err != nil {
					t.Errorf("%s: %v", c[1], err)
				}
				continue
			}
			pkg, test, _ := strings.Cut(name, ".")
			if packages[pkg] == "" || !hasTest(t, packages[pkg], test) {
				t.Errorf("%s: there is no test %s", c[1], name)
			}
		}
	}
}

func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
