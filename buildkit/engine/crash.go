package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
func beginUnsynced(root string) (discarded bool, err error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return false, fmt.Errorf("reading the boot's ID: %w", err)
	}
	note := filepath.Join(root, unsyncedFile)
	last, err := os.ReadFile(note)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, writeSynced(note, boot)
	case err != nil:
		return false, fmt.Errorf("reading builder state: %w", err)
	case string(last) == string(boot):
		return false, nil // killed; the kernel kept what was written
	}
	if err := discard(root); err != nil {
		return false, fmt.Errorf("removing builder state of a machine that stopped: %w", err)
	}
	return true, writeSynced(note, boot)
}

// discard removes the worker's folders and the databases.
func discard(root string) error {
	return eachBelow(root, []string{"runc-*", "*.db"}, os.RemoveAll)
}

// endUnsynced writes the closed databases to the disk.
func endUnsynced(root string) error {
	if err := eachBelow(root, []string{"*.db", "runc-*/*.db", "runc-*/snapshots/*.db"}, syncFile); err != nil {
		return fmt.Errorf("writing builder state to the disk: %w", err)
	}
	if err := os.Remove(filepath.Join(root, unsyncedFile)); err != nil {
		return fmt.Errorf("closing builder state: %w", err)
	}
	return nil
}

func eachBelow(root string, patterns []string, do func(name string) error) error {
	for _, pattern := range patterns {
		found, err := fs.Glob(os.DirFS(root), pattern)
		if err != nil {
			return err
		}
		for _, name := range found {
			if err := do(filepath.Join(root, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeSynced writes a file that is on the disk when it returns.
func writeSynced(name string, content []byte) error {
	if err := os.WriteFile(name, content, 0o600); err != nil {
		return fmt.Errorf("writing builder state: %w", err)
	}
	if err := errors.Join(syncFile(name), syncFile(filepath.Dir(name))); err != nil {
		return fmt.Errorf("writing builder state to the disk: %w", err)
	}
	return nil
}

// syncFile waits until a file, or a folder's list of names, is on the disk.
func syncFile(name string) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
