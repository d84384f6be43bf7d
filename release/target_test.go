package release_test

import (
	"os"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/release"
)

// Whoever made the current folder put a file there that is named as what is verified: it is
// not what was asked for.
func TestAttackFileInThePlaceOfATarget(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, target := range []string{"0x00000000000000000000000000000000000000aa", "hello.eth", "localhost:5000/hello@sha256:" + strings.Repeat("0", 64)} {
		if i := strings.LastIndexByte(target, '/'); i >= 0 {
			if err := os.MkdirAll(target[:i], 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(target, []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := release.ReadTarget(t.Context(), target); err != nil {
			t.Errorf("%s is read as a file: %v", target, err)
		}
		if _, err := release.ReadTarget(t.Context(), "./"+target); err == nil {
			t.Errorf("./%s is not read as a file", target)
		}
	}
}
