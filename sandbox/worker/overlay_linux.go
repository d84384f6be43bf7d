package worker

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// overlay mounts a folder under a root, so that what is written there stays in dir. See
// release.
func overlay(lower, dir, root string) error {
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o700)); err != nil {
		return err
	}
	return syscall.Mount("overlay", root, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work)
}

// release takes away what overlay mounted, if anything.
func release(dir string) { syscall.Unmount(filepath.Join(dir, "root"), syscall.MNT_DETACH) }
