//go:build attack

package e2e

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestAttacks runs the scripts that attack the built program. What each attack was
// to end in and did end in goes into the test's attributes, for the table that
// "make attack" prints.
func TestAttacks(t *testing.T) {
	t.Parallel()
	var rows outcomes
	runScripts(t, "testdata/attack", map[string]func(*testscript.TestScript, *script, []string){
		"attack": rows.ends, "strange-files": strangeFiles, "strange-record": rows.strangeRecord,
	})
	rows.report(t, "attack")
}
