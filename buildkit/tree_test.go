package buildkit

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// planted writes a folder whose names are hard to put in order, and reads it.
func planted(t *testing.T) (Source, inputs) {
	t.Helper()
	src := Source{Context: t.TempDir(), Epoch: time.Unix(1_700_000_000, 0)}
	for _, name := range []string{"Dockerfile", "a/b/c", "a/d", "a.b", "a-b/c", "a0", "z/y/x", "z.y", "ä"} {
		path := filepath.Join(src.Context, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(name), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a/b", filepath.Join(src.Context, "link")); err != nil {
		t.Fatal(err)
	}
	in, err := src.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return src, in
}

// visits returns what a walk sees, told to skip where a path ends like skip.
func visits(t *testing.T, folder fsutil.FS, target, skip string) (seen []string) {
	t.Helper()
	err := folder.Walk(t.Context(), target, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*types.Stat)
		seen = append(seen, strings.Join([]string{path, stat.Path, info.Mode().String(), stat.Linkname, entry.Name()}, " ")) // times are what marks are for
		if skip != "" && strings.HasSuffix(path, skip) {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return seen
}

// A tree shows what its folder showed when it was read, in the same order.
func TestATreeIsWalkedLikeItsFolder(t *testing.T) {
	_, in := planted(t)
	sent := in.sent(in.context)
	for _, target := range []string{"/", ".", "a", "a/b", "/a/b/c", "link", "a-b", "none"} {
		for _, skip := range []string{"", "a", "b", "c", "y", "d", "a.b"} {
			got, want := visits(t, sent, target, skip), visits(t, in.context.fs, target, skip)
			if !slices.Equal(got, want) {
				t.Errorf("walking %q, skipping at %q:\n%q\nwant\n%q", target, skip, got, want)
			}
		}
	}
}

func TestATreeStaysWhatItWas(t *testing.T) {
	src, in := planted(t)
	before := visits(t, in.sent(in.context), "/", "")
	at := func(name string) string { return filepath.Join(src.Context, name) }
	err := errors.Join(os.RemoveAll(at("a")), os.WriteFile(at("new"), nil, 0o644), os.Chmod(at("a0"), 0o755), os.Remove(at("link")), os.Symlink("z", at("link")))
	if err != nil {
		t.Fatal(err)
	}
	if after := visits(t, in.sent(in.context), "/", ""); !slices.Equal(before, after) {
		t.Errorf("the tree is now\n%q\nit was\n%q", after, before)
	}
}

// Whatever a walk's receiver does to an entry stays with the receiver.
func TestATreeIsNotChangedByAWalk(t *testing.T) {
	_, in := planted(t)
	sent := in.sent(in.context)
	before := visits(t, sent, "/", "")
	err := sent.Walk(t.Context(), "/", func(_ string, entry fs.DirEntry, _ error) error {
		info, err := entry.Info()
		if err == nil {
			stat := info.Sys().(*types.Stat)
			stat.Mode, stat.Path, stat.Uid = 0, "changed", 7
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := visits(t, sent, "/", ""); !slices.Equal(before, after) {
		t.Errorf("the tree is now\n%q\nit was\n%q", after, before)
	}
}

func TestATreeRefusesOtherContent(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(path string) error
		refused string
	}{
		"nothing":   {func(string) error { return nil }, ""},
		"a byte":    {func(path string) error { return os.WriteFile(path, []byte("a1"), 0o644) }, "changed during the build"},
		"shorter":   {func(path string) error { return os.Truncate(path, 1) }, "changed during the build"},
		"longer":    {func(path string) error { return os.WriteFile(path, []byte("a00"), 0o644) }, "changed during the build"},
		"gone":      {os.Remove, "no such file"},
		"a folder":  {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) }, "is a directory"},
		"a link to": {func(path string) error { return errors.Join(os.Remove(path), os.Symlink("a.b", path)) }, "changed during the build"},
	} {
		src, in := planted(t)
		var refused error
		in.refuse = func(err error) { refused = err }
		if err := c.change(filepath.Join(src.Context, "a0")); err != nil {
			t.Fatal(err)
		}
		file, err := in.sent(in.context).Open("/a0")
		if err == nil {
			_, err = io.Copy(io.Discard, file)
			file.Close()
		}
		if (err == nil) != (c.refused == "") || (refused == nil) != (c.refused == "") {
			t.Errorf("%s: read with %v, refused with %v", name, err, refused)
		}
		if refused != nil && !strings.Contains(refused.Error(), c.refused) {
			t.Errorf("%s: refused with %v, want %s", name, refused, c.refused)
		}
	}
}

// What was never read is never sent.
func TestATreeHasNothingElse(t *testing.T) {
	src, in := planted(t)
	var refused error
	in.refuse = func(err error) { refused = err }
	if err := os.WriteFile(filepath.Join(src.Context, "key"), []byte("private"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := in.sent(in.context).Open("key")
	if err != nil {
		return
	}
	defer file.Close()
	if _, err := io.Copy(io.Discard, file); err == nil || refused == nil {
		t.Errorf("a file of no tree was read: %v, %v", err, refused)
	}
}

func TestAWalkEndsWithItsContext(t *testing.T) {
	_, in := planted(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := in.sent(in.context).Walk(ctx, "/", func(string, fs.DirEntry, error) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}

func TestModesAreNormal(t *testing.T) {
	for mode, want := range map[fs.FileMode]fs.FileMode{
		0o600: 0o644, 0o644: 0o644, 0o666: 0o644, 0o000: 0o644, 0o611: 0o644, 0o700: 0o755, 0o4755: 0o755, 0o100: 0o755,
		fs.ModeSetuid | 0o755:  0o755,
		fs.ModeDir | 0o700:     fs.ModeDir | 0o755,
		fs.ModeDir | 0o1777:    fs.ModeDir | 0o755,
		fs.ModeSymlink | 0o700: fs.ModeSymlink | 0o777,
	} {
		if got := normalMode(mode); got != want {
			t.Errorf("%v becomes %v, want %v", mode, got, want)
		}
	}
}
