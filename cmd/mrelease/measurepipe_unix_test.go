//go:build unix

package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mrelease/mrelease/cmd/usage"
)

// What is no file and no image is told at once, as one document, and before a
// builder or a registry is asked.
func TestAttackMeasureWhatIsNoFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Symlink("nowhere", "dangling.so"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo("pipe.so", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"missing.signed.so", "dangling.so", "pipe.so", "/dev/null", "build/missing.so"} {
		t.Run(strings.ReplaceAll(where, "/", "_"), func(t *testing.T) {
			got := runProgram(t, "measure", where, "--json")
			if got.code != usage.ExitUsage || !strings.Contains(got.stderr, "E-USAGE") || !strings.Contains(got.stderr, where) {
				t.Errorf("%+v", got)
			}
			got.onlyDocument(t)
		})
	}
}
