//go:build linux && amd64

package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mrelease/mrelease/buildkit/engine"
)

// stranger is a user that is not the one who runs the tests.
const stranger = 4242

// planted is what somebody left in a state folder; each returns an error of making it.
func planted(root, victim string) map[string]func() error {
	at := func(name string) string { return filepath.Join(root, name) }
	link := func(name string) func() error {
		return func() error {
			return errors.Join(os.MkdirAll(filepath.Dir(at(name)), 0o700), os.Symlink(victim, at(name)))
		}
	}
	file := func(name string, mode os.FileMode, user int) func() error {
		return func() error {
			return errors.Join(os.MkdirAll(filepath.Dir(at(name)), 0o700), os.WriteFile(at(name), nil, 0o600), os.Chmod(at(name), mode), os.Chown(at(name), user, user))
		}
	}
	folder := func(name string, mode os.FileMode, user int) func() error {
		return func() error {
			return errors.Join(os.MkdirAll(at(name), 0o700), os.Chmod(at(name), mode), os.Chown(at(name), user, user))
		}
	}
	return map[string]func() error{
		"the executor is a link":          link("runc-x/executor"),
		"the worker is a link":            link("runc-overlayfs"),
		"the runtime's note is a link":    link("runtime"),
		"the boot's note is a link":       link("unsynced"),
		"the cache's index is a link":     link("cache.db"),
		"the history is a link":           link("history.db"),
		"the lock is a link":              link("buildkitd.lock"),
		"the temporary folder is a link":  link("tmp"),
		"the networks are a link":         link("net"),
		"the kept layers are a link":      link("layers"),
		"a kept layer is a link":          link("layers/gzip-1-0-00.json"),
		"the scratch folder is a link":    link("scratch"),
		"a blob is a link":                link("runc-overlayfs/content/blobs/sha256/00"),
		"a part of a blob is a link":      link("runc-overlayfs/content/ingest/1/data"),
		"the index of blobs is a link":    link("runc-overlayfs/containerdmeta.db"),
		"the index of layers is a link":   link("runc-overlayfs/snapshots/metadata.db"),
		"a layer is a link":               link("runc-overlayfs/snapshots/snapshots/1"),
		"a layer's files are a link":      link("runc-overlayfs/snapshots/snapshots/1/fs"),
		"a copied layer is a link":        link("runc-native/snapshots/snapshots/1"),
		"a database is a stranger's":      file("cache.db", 0o600, stranger),
		"a worker's name is a stranger's": file("runc-overlayfs/workerid", 0o600, stranger),
		"a blob is a stranger's":          file("runc-overlayfs/content/blobs/sha256/00", 0o444, stranger),
		"a layer is a stranger's":         folder("runc-overlayfs/snapshots/snapshots/1", 0o700, stranger),
		"a database is open to all":       file("cache.db", 0o666, os.Geteuid()),
		"the blobs are open to a group":   folder("runc-overlayfs/content/blobs/sha256", 0o775, os.Geteuid()),
		"the state is a stranger's":       folder(".", 0o700, stranger),
		"the state is open to all":        folder(".", 0o777, os.Geteuid()),
		"the state is open to a group":    folder(".", 0o770, os.Geteuid()),
		"the state lies where anybody may replace it": func() error {
			return os.Chmod(filepath.Dir(root), 0o777)
		},
		"a stranger's link leads to the state": func() error {
			shared := filepath.Dir(root)
			err := errors.Join(os.Chmod(shared, 0o777|os.ModeSticky), os.Remove(root), os.Symlink(victim, root))
			return errors.Join(err, os.Lchown(root, stranger, stranger))
		},
	}
}

// What somebody else planted in a state folder is refused, and nothing outside of the
// folder is written, removed or made.
func TestAttackStateFolder(t *testing.T) {
	runtime := options(t).Runtime
	for name := range planted("", "") {
		t.Run(name, func(t *testing.T) {
			world := t.TempDir()
			shared, victim := filepath.Join(world, "shared"), filepath.Join(world, "victim")
			root, thesis := filepath.Join(shared, "state"), filepath.Join(victim, "tmp", "thesis")
			err := errors.Join(os.Mkdir(shared, 0o755), os.Mkdir(root, 0o700), os.MkdirAll(filepath.Dir(thesis), 0o700), os.WriteFile(thesis, []byte("years of work"), 0o640))
			if err := errors.Join(err, planted(root, victim)[name]()); err != nil {
				t.Fatal(err)
			}
			for what, do := range map[string]func() error{
				"Start": func() error {
					e, err := engine.Start(t.Context(), engine.Options{Root: root, Runtime: runtime})
					if err == nil {
						shut(t, e)
					}
					return err
				},
				"Clean":      func() error { return engine.Clean(t.Context(), root, runtime) },
				"CheckState": func() error { return engine.CheckState(root) },
			} {
				var foreign *engine.ForeignError
				if err := do(); !errors.As(err, &foreign) {
					t.Errorf("%s: %v, want a ForeignError", what, err)
				}
			}
			left, err := os.ReadDir(victim)
			if err != nil || len(left) != 1 {
				t.Errorf("the victim's folder holds %v, %v", left, err)
			}
			info, err := os.Stat(thesis)
			if content, readErr := os.ReadFile(thesis); err != nil || readErr != nil || string(content) != "years of work" || info.Mode() != 0o640 {
				t.Errorf("the victim's file: %v, %v, %q", err, readErr, content)
			}
		})
	}
}

// An engine finds all that it left itself in order, also what a killed one left.
func TestOwnStateIsTrusted(t *testing.T) {
	opts := options(t)
	opts.Exclusive = true
	t.Setenv("TMPDIR", os.Getenv("TMPDIR")) // the engine sets it
	first := start(t, opts)
	fill(t, first, 2)
	if err := engine.CheckState(opts.Root); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	shut(t, first)
	if err := engine.CheckState(opts.Root); err != nil {
		t.Errorf("after it: %v", err)
	}
}
