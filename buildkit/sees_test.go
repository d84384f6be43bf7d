package buildkit_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mrelease/mrelease/buildkit"
)

// The links of a file's folder are resolved, and not its own: what a context has is the link.
func TestAbsolute(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := errors.Join(os.Mkdir("real", 0o755), os.Symlink("real", "link"), os.Symlink("elsewhere", "real/file")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"link/file": "real/file", "link": "link", "link/new": "real/new", "none/file": "none/file"} {
		if got := buildkit.Absolute(path); got != filepath.Join(dir, want) {
			t.Errorf("%s: %s, want %s in %s", path, got, want, dir)
		}
	}
}
