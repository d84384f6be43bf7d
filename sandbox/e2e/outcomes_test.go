//go:build attack || cases

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// outcomes collects what became of attacks or cases.
type outcomes struct {
	mu  sync.Mutex
	all [][3]string // name, expected, got
}

// ends runs mrelease and tells how it is to end:
//
//	attack NAME EXPECTED [ARGUMENT...]
//	case NAME EXPECTED [ARGUMENT...]
//
// EXPECTED is an exit code and the error's code, if there is one: "0", "12 E-RECORD".
// Its output can be looked at afterwards. As with exits, it must not hold secrets nor
// a stack trace.
func (o *outcomes) ends(ts *testscript.TestScript, s *script, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: attack|case NAME EXPECTED [ARGUMENT...]")
	}
	code := exitCode(ts, append([]string{"mrelease"}, args[2:]...))
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	got := strings.TrimSpace(fmt.Sprintf("%d %s", code, errorCode.FindString(stderr)))
	o.mu.Lock()
	o.all = append(o.all, [3]string{s.name + ": " + args[0], args[1], got})
	o.mu.Unlock()
	if got != args[1] {
		ts.Fatalf("%s: got %s, expected %s", args[0], got, args[1])
	}
	checkPrinted(ts, s, stdout, stderr)
	checkDocument(ts, args[2:], stdout)
}

var errorCode = regexp.MustCompile(`(?m)^E-[A-Z-]+`)

// report puts the outcomes into the test's attributes.
func (o *outcomes) report(t *testing.T, kind string) {
	for _, row := range o.all {
		t.Attr(kind, strings.Join(row[:], "\t"))
	}
}
