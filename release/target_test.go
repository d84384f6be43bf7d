package release_test

import (
	"errors"
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

// A path is no name, here as in what a request names.
func TestTargetThatIsAPath(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.Mkdir("apps", 0o755), os.WriteFile("apps/hello.eth", []byte("{}"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := release.ReadTarget(t.Context(), "apps/hello.eth"); err == nil || !strings.Contains(err.Error(), "apps/hello.eth is no record") {
		t.Errorf("it is not read as a record's file: %v", err)
	}
}

// What is nothing is told with each form that a target may have. Each leads elsewhere than
// to a file, or the remedy names one that is none.
func TestAbsentTarget(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, target := range []string{"missing.json", "./missing.json", "dist/record.json"} {
		_, err := release.ReadTarget(t.Context(), target)
		absent, ok := errors.AsType[*release.UnreadError](err)
		if !ok || !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%s: %v", target, err)
		}
		for _, form := range []string{"file", "0x…", "NAME.eth", "REPOSITORY@sha256:…", "https://…"} {
			if !strings.Contains(absent.Remedy(), form) {
				t.Errorf("%s: the remedy lacks %s: %s", target, form, absent.Remedy())
			}
		}
	}
	digits := "00000000000000000000000000000000000000aa00000000000000000000000a"
	for _, form := range []string{"0x" + digits[:40], "NAME.eth", "localhost:5000/REPOSITORY@sha256:" + digits, "https://"} {
		if _, err := release.ReadTarget(t.Context(), form); errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is taken for a file: %v", form, err)
		}
	}
}
