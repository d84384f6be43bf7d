package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/mrelease/mrelease/buildkit/engine"
	"github.com/mrelease/mrelease/buildkit/rootless"
)

const lockFile = "lock"

// makeLocked makes a folder with a prefix for this run, and removes those of
// killed runs after clean has seen them. A lock, which the kernel gives free,
// tells them from those of live ones.
func makeLocked(parent, prefix string, clean func(dir string) error) (dir string, unlock func() error, err error) {
	if err := os.MkdirAll(parent, 0o755); errors.Is(err, syscall.ENOTDIR) {
		return "", nil, &OutputError{parent, "it, or a folder that it is in, is a file"}
	} else if err != nil {
		return "", nil, fmt.Errorf("creating work folder: %w", err)
	}
	if err := removeStale(parent, prefix, clean); err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(parent, prefix+"*"); err != nil {
		return "", nil, fmt.Errorf("creating work folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, lockFile))
	if err := lock.Lock(); err != nil {
		return "", nil, fmt.Errorf("locking work folder: %w", errors.Join(err, os.RemoveAll(dir)))
	}
	return dir, lock.Close, nil
}

func removeStale(parent, prefix string, clean func(dir string) error) error {
	found, err := os.ReadDir(parent)
	if err != nil {
		return fmt.Errorf("looking for unfinished builds: %w", err)
	}
	for _, entry := range found {
		if !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		dir := filepath.Join(parent, entry.Name())
		if info, err := os.Lstat(filepath.Join(dir, lockFile)); err != nil || !entry.IsDir() || !info.Mode().IsRegular() {
			continue // nothing that this made: opening it could mean anything
		}
		lock := flock.New(filepath.Join(dir, lockFile), flock.SetFlag(os.O_RDWR))
		if held, err := lock.TryLock(); err != nil || !held {
			continue // a live build, or no folder of a build
		}
		err := clean(dir)
		if err == nil {
			err = os.RemoveAll(dir)
		}
		if err := errors.Join(err, lock.Close()); err != nil {
			return fmt.Errorf("removing unfinished build: %w", err)
		}
	}
	return nil
}

// ColdFolder makes a folder beside the builder's state for states that are used
// once and thrown away: the folders state-* in it. It first removes those of
// killed runs, with the containers and mounts that they left. Where the embedded builder
// is named and cannot be used, it makes nothing: the error is that of [Open].
func ColdFolder(ctx context.Context, opts Options) (dir string, remove func() error, err error) {
	if opts.Builder == Embedded {
		if _, err := checkEmbedded(opts); err != nil {
			return "", nil, err
		}
	}
	if opts.State == "" {
		dir, err := os.MkdirTemp("", "mrelease-*")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	dir, unlock, err := makeLocked(filepath.Dir(opts.State), ".cold-", func(dir string) error { return opts.cleanStates(ctx, dir) })
	var file *fs.PathError
	if errors.As(err, &file) {
		return "", nil, unusable(Embedded, "its cache cannot be made: "+file.Error(), newState)
	}
	remove = func() error {
		var err error
		if !rootless.Privileged() {
			err = opts.cleanStates(context.WithoutCancel(ctx), dir)
		}
		return errors.Join(err, os.RemoveAll(dir), unlock())
	}
	return dir, remove, err
}

// cleanStates makes the states in a folder ready to be removed. In those of a user who
// is not root some files belong to ids that only a process of the builder's is; it
// removes them.
func (o Options) cleanStates(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var states []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "state-") {
			states = append(states, filepath.Join(dir, entry.Name()))
		}
	}
	runtime := findRuntime(o.Path)
	if !rootless.Privileged() && o.Getenv != nil && runtime != "" {
		return o.launcher().Remove(ctx, states, runtime)
	}
	for _, state := range states {
		if err := engine.Clean(ctx, state, runtime); err != nil {
			return err
		}
	}
	return nil
}
