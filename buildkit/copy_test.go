//go:build linux && amd64

package buildkit_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mrelease/mrelease/buildkit"
)

// A copy of a source is another folder of other files, and the same source.
func TestCopyIsTheSameSource(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]files{
		"plain":                     {"Dockerfile": "FROM scratch\nCOPY . /\n", "a/b/c": "1", "a/run": "2", "z": "3"},
		"with an ignore file":       {"Dockerfile": "FROM scratch\n", ".dockerignore": "left\n.dockerignore\nDockerfile\n", "left/out": "1", "a/b": "2"},
		"with the Dockerfile's own": {"Dockerfile": "FROM scratch\n", "Dockerfile.dockerignore": "*\n!a\n", ".dockerignore": "a\n", "a/b": "1", "left": "2"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "context"), content)
			write(t, filepath.Join(dir, "other"), files{"x/y": "1", "left": "2", ".dockerignore": "left"})
			check(t, os.Symlink("c", filepath.Join(dir, "other/link")))
			check(t, os.Chmod(filepath.Join(dir, "other/x/y"), 0o755))
			src := buildkit.Source{Context: filepath.Join(dir, "context"), Contexts: map[string]string{"other": filepath.Join(dir, "other"), "image": "docker-image://debian"}, Epoch: epoch}
			want := must(src.Digest(t.Context()))
			for i, shift := range []buildkit.Shift{{Time: time.Unix(1, 0)}, {Time: time.Unix(2_000_000_000, 0), Umask: 0o077, Reverse: true}} {
				shift.Owner = os.Geteuid()
				twin, err := src.Copy(t.Context(), filepath.Join(dir, "copy", string(rune('a'+i))), shift)
				check(t, err)
				equal(t, "digest", must(twin.Digest(t.Context())), want)
				if _, err := os.Stat(filepath.Join(twin.Context, "left")); err == nil {
					t.Error("what is ignored was copied")
				}
			}
		})
	}
}

func TestCopyIsAnotherFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "context"), files{"Dockerfile": "FROM scratch\n", "a/b": "1"})
	src := buildkit.Source{Context: filepath.Join(dir, "context"), Epoch: epoch}
	at := time.Unix(1_000_000_000, 0)
	shift := buildkit.Shift{Time: at, Umask: 0o077, Owner: os.Geteuid()}
	if os.Geteuid() == 0 {
		shift.Owner = 1000
	}
	twin := must(src.Copy(t.Context(), filepath.Join(dir, "copy"), shift))
	for name, mode := range map[string]fs.FileMode{"a": fs.ModeDir | 0o700, "a/b": 0o600, "Dockerfile": 0o600} {
		info, err := os.Stat(filepath.Join(twin.Context, name))
		check(t, err)
		equal(t, "mode of "+name, info.Mode(), mode)
		equal(t, "owner of "+name, int(info.Sys().(*syscall.Stat_t).Uid), shift.Owner)
		if since := at.Sub(info.ModTime()); since < 0 || since > time.Minute {
			t.Errorf("%s is of %s", name, info.ModTime())
		}
	}
	if _, err := src.Copy(t.Context(), filepath.Join(dir, "copy"), shift); err == nil {
		t.Error("a copy was made over another one")
	}
}
