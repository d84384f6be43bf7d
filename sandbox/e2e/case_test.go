//go:build cases

package e2e

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestCases runs what went wrong for others, with the built program: strangers'
// repositories, registries, keys and habits. What each was to end in and did end in
// goes into the test's attributes, for the table that "make cases" prints.
func TestCases(t *testing.T) {
	t.Parallel()
	var rows outcomes
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/case")); err != nil {
		t.Fatal(err)
	}
	writeHabitCases(t, dir)
	runScripts(t, dir, map[string]func(*testscript.TestScript, *script, []string){"case": rows.ends, "plain-case": rows.plain, "git-daemon": gitDaemon})
	rows.report(t, "case")
}
