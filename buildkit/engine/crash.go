//go:build linux && amd64

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"
)

// A build changes the worker's databases hundreds of times, and none of these
// changes waits for the disk. When the process dies nothing is lost, as the
// kernel has it all. When the machine dies, the databases can be torn. So they
// are written to the disk by Close, a file says when they were not, and in which
// boot, and what another boot left in that way is thrown away: it is a cache.

// unsyncedFile holds the boot, and is there while the databases on the disk may
// be torn.
const unsyncedFile = "unsynced"

// databaseOptions are buildkitd's, but for NoSync.
func databaseOptions() *bolt.Options {
	return &bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true, NoSync: true}
}

// beginUnsynced notes that the databases are about to be written. It first removes
// them, and what they are about, if they may be torn.
func beginUnsynced(s state) (discarded bool, err error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return false, fmt.Errorf("reading the boot's ID: %w", err)
	}
	last, err := s.dir.ReadFile(unsyncedFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, writeSynced(s, unsyncedFile, boot)
	case err != nil:
		return false, fmt.Errorf("reading builder state: %w", err)
	case string(last) == string(boot):
		return false, nil // killed; the kernel kept what was written
	}
	if err := discard(s); err != nil {
		return false, fmt.Errorf("removing builder state of a machine that stopped: %w", err)
	}
	return true, writeSynced(s, unsyncedFile, boot)
}

// Distrust has the next Start throw the cache away: something in it was changed.
func (e *Engine) Distrust() error {
	e.distrusted.Store(true)
	return writeSynced(e.state, unsyncedFile, []byte("changed\n"))
}

// discard removes the worker's folders and the databases.
func discard(s state) error {
	return s.each(s.dir.RemoveAll, "runc-*", "*.db")
}

// endUnsynced writes the closed databases to the disk, and says so, unless the cache
// is to be thrown away.
func endUnsynced(s state, isDistrusted bool) error {
	if err := s.each(s.sync, "*.db", "runc-*/*.db", "runc-*/snapshots/*.db"); err != nil {
		return fmt.Errorf("writing builder state to the disk: %w", err)
	}
	if isDistrusted {
		return nil
	}
	if err := s.dir.Remove(unsyncedFile); err != nil {
		return fmt.Errorf("closing builder state: %w", err)
	}
	return nil
}

// each does something with all files and folders of the state that match a pattern.
func (s state) each(do func(name string) error, patterns ...string) error {
	for _, pattern := range patterns {
		found, err := fs.Glob(s.dir.FS(), pattern)
		if err != nil {
			return err
		}
		for _, name := range found {
			if err := do(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeSynced writes a file that is on the disk when it returns.
func writeSynced(s state, name string, content []byte) error {
	if err := s.write(name, content); err != nil {
		return fmt.Errorf("writing builder state: %w", err)
	}
	if err := errors.Join(s.sync(name), s.sync(".")); err != nil {
		return fmt.Errorf("writing builder state to the disk: %w", err)
	}
	return nil
}

// sync waits until a file, or a folder's list of names, is on the disk.
func (s state) sync(name string) (err error) {
	f, err := s.dir.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
