package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Shift says in what a copy of a source differs from it: all of this must not
// matter to the image.
type Shift struct {
	Time    time.Time   // of the last file that is made; each earlier one is a second older
	Umask   fs.FileMode // taken from the modes
	Reverse bool        // files are made in the opposite order
	Owner   int         // user and group; needs root unless it is the process's own
}

// Copy copies what a source sends to the builder into an empty folder, and
// returns the source of the copy. Images, layouts and secrets stay what they are.
//
// It fails with the errors of Validate, or a wrapped one when a file cannot be
// read or written.
func (s Source) Copy(ctx context.Context, dir string, shift Shift) (Source, error) {
	if err := s.Validate(); err != nil {
		return Source{}, err
	}
	c := copier{shift: shift, source: s}
	twin := s
	twin.was = nil
	twin.Context, twin.Contexts = filepath.Join(dir, "context"), map[string]string{}
	if err := c.tree(ctx, s.Context, twin.Context, s.IgnoreFile()); err != nil {
		return Source{}, err
	}
	twin.Dockerfile = filepath.Join(dir, "dockerfile", filepath.Base(s.path()))
	if err := c.frontend(s.path(), twin.Dockerfile); err != nil {
		return Source{}, err
	}
	for name, value := range s.Contexts {
		twin.Contexts[name] = value
		if strings.Contains(value, "://") {
			continue
		}
		twin.Contexts[name] = filepath.Join(dir, "context"+strconv.Itoa(len(twin.Contexts)))
		if err := c.tree(ctx, value, twin.Contexts[name], filepath.Join(value, ".dockerignore")); err != nil {
			return Source{}, err
		}
	}
	return twin, nil
}

// copier copies trees.
type copier struct {
	shift  Shift
	source Source
}

// frontend copies the Dockerfile and its own ignore file.
func (c copier) frontend(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("copying Dockerfile: %w", err)
	}
	if err := c.file(from, to, 0o644); err != nil {
		return fmt.Errorf("copying Dockerfile: %w", err)
	}
	if err := c.file(from+".dockerignore", to+".dockerignore", 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("copying ignore file: %w", err)
	}
	return nil
}

// found is a file, folder or link of a tree.
type found struct {
	path string
	mode fs.FileMode
}

// tree copies what the ignore file leaves of a folder, and the ignore file: the
// builder asks for it although it may name itself.
func (c copier) tree(ctx context.Context, from, to, ignore string) error {
	all, err := c.list(ctx, from, ignore)
	if err != nil {
		return fmt.Errorf("reading %q: %w", from, err)
	}
	const own = ".dockerignore"
	if info, err := os.Stat(filepath.Join(from, own)); err == nil && !slices.ContainsFunc(all, func(f found) bool { return f.path == own }) {
		all = append(all, found{own, info.Mode()})
	}
	if c.shift.Reverse {
		slices.Reverse(all)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("copying %q: %w", from, err)
	}
	for _, f := range all {
		if err := c.entry(filepath.Join(from, f.path), filepath.Join(to, f.path), f.mode); err != nil {
			return fmt.Errorf("copying %q: %w", from, err)
		}
	}
	return c.disguise(to, all)
}

func (c copier) list(ctx context.Context, root, ignore string) ([]found, error) {
	_, sent, err := filtered(root, ignore, nil)
	if err != nil {
		return nil, err
	}
	var all []found
	err = sent.Walk(ctx, "/", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			all = append(all, found{path, info.Mode()})
		}
		return err
	})
	return all, err
}

func (c copier) entry(from, to string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	switch {
	case mode.IsDir():
		return os.MkdirAll(to, 0o755)
	case mode.Type() == fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	return c.file(from, to, mode.Perm())
}

func (c copier) file(from, to string, mode fs.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in) // the kernel copies, and shares blocks where it can
	return errors.Join(err, out.Chmod(mode&^c.shift.Umask), out.Close())
}

// disguise gives a copied tree its times, modes and owner. Folders come after
// what is in them, whose making sets their times.
func (c copier) disguise(root string, all []found) error {
	at := c.shift.Time
	for _, f := range slices.Backward(slices.SortedFunc(slices.Values(all), func(a, b found) int { return strings.Compare(a.path, b.path) })) {
		path := filepath.Join(root, f.path)
		if err := os.Lchown(path, c.shift.Owner, c.shift.Owner); err != nil {
			return fmt.Errorf("copying source: %w", err)
		}
		if f.mode.Type() == fs.ModeSymlink {
			continue
		}
		if f.mode.IsDir() {
			if err := os.Chmod(path, 0o755&^c.shift.Umask); err != nil {
				return fmt.Errorf("copying source: %w", err)
			}
		}
		if err := os.Chtimes(path, at, at); err != nil {
			return fmt.Errorf("copying source: %w", err)
		}
		at = at.Add(-time.Second)
	}
	return nil
}
