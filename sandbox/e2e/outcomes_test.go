//go:build attack || cases || chaos

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
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
	o.endsAs(ts, s, args, nil)
}

// plain is ends for a user without any rights, see [asNobody].
func (o *outcomes) plain(ts *testscript.TestScript, s *script, args []string) {
	o.endsAs(ts, s, args, asNobody(ts))
}

func (o *outcomes) endsAs(ts *testscript.TestScript, s *script, args, user []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: attack|case|plain-case NAME EXPECTED [ARGUMENT...]")
	}
	code := exitCode(ts, append(append(user, "mrelease"), args[2:]...))
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

// asNobody begins a command that a user without any rights runs: in the script's folder,
// which is made readable for all, with a home that is somewhere else.
func asNobody(ts *testscript.TestScript) []string {
	const nobody = 65534
	for dir := ts.MkAbs("."); dir != filepath.Dir(dir) && dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		ts.Check(os.Chmod(dir, 0o755))
	}
	program, err := exec.LookPath("setpriv")
	ts.Check(err)
	home := ts.MkAbs("home-of-nobody")
	if err := os.Mkdir(home, 0o700); !errors.Is(err, fs.ErrExist) {
		ts.Check(err)
		ts.Check(os.Chown(home, nobody, nobody))
	}
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
		if strings.HasPrefix(dir, os.TempDir()) {
			ts.Check(os.Chmod(filepath.Dir(dir), 0o755))
			ts.Check(os.Chmod(dir, 0o755))
		}
	}
	return []string{program, "--reuid", strconv.Itoa(nobody), "--regid", strconv.Itoa(nobody), "--clear-groups", "env", "HOME=" + home, "TMPDIR=" + home, "MRELEASE_STATE="}
}

var errorCode = regexp.MustCompile(`(?m)^E-[A-Z-]+`)

// report puts the outcomes into the test's attributes.
func (o *outcomes) report(t *testing.T, kind string) {
	for _, row := range o.all {
		t.Attr(kind, strings.Join(row[:], "\t"))
	}
}
