//go:build attack

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestAttacks runs the scripts that attack the built program. What each attack was
// to end in and did end in goes into the test's attributes, for the table that
// "make attack" prints.
func TestAttacks(t *testing.T) {
	t.Parallel()
	var rows attacks
	runScripts(t, "testdata/attack", map[string]func(*testscript.TestScript, *script, []string){
		"attack": rows.attack, "strange-files": strangeFiles, "strange-record": rows.strangeRecord,
	})
	for _, row := range rows.all {
		t.Attr("attack", strings.Join(row[:], "\t"))
	}
}

// attacks collects what became of attacks.
type attacks struct {
	mu  sync.Mutex
	all [][3]string // name, expected, got
}

// attack runs mrelease against somebody's attack:
//
//	attack NAME EXPECTED [ARGUMENT...]
//
// EXPECTED is an exit code and the error's code, if there is one: "0", "12 E-RECORD".
// Its output can be looked at afterwards. As with exits, it must not hold secrets nor
// a stack trace.
func (a *attacks) attack(ts *testscript.TestScript, s *script, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: attack NAME EXPECTED [ARGUMENT...]")
	}
	code := exitCode(ts, append([]string{"mrelease"}, args[2:]...))
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	got := strings.TrimSpace(fmt.Sprintf("%d %s", code, errorCode.FindString(stderr)))
	a.mu.Lock()
	a.all = append(a.all, [3]string{s.name + ": " + args[0], args[1], got})
	a.mu.Unlock()
	if got != args[1] {
		ts.Fatalf("%s: got %s, expected %s", args[0], got, args[1])
	}
	checkPrinted(ts, s, stdout, stderr)
}

var errorCode = regexp.MustCompile(`(?m)^E-[A-Z-]+`)
