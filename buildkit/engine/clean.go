//go:build linux && amd64

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	runc "github.com/containerd/go-runc"
	"github.com/gofrs/flock"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Clean removes from a state folder what a killed run left of containers and
// mounts, so that the folder itself can be removed. It fails when another process
// uses the folder, and with a [*ForeignError] as Start does.
func Clean(ctx context.Context, root, runtime string) error {
	guardRuntime()
	free, err := cleanIfFree(ctx, root, runtime)
	if err == nil && !free {
		err = fmt.Errorf("locking builder state %q: in use", root)
	}
	return err
}

// cleanIfFree cleans a state folder, unless a process uses it.
func cleanIfFree(ctx context.Context, root, runtime string) (free bool, err error) {
	s, err := openState(root)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.dir.Close()) }()
	lock := flock.New(filepath.Join(s.path, lockFile))
	if free, err = lock.TryLock(); err != nil {
		return false, fmt.Errorf("locking builder state %q: %w", s.path, errors.Join(err, lock.Close()))
	}
	if free {
		if err = s.checkAll(); err == nil {
			err = clean(ctx, s, runtime)
		}
	}
	return free, errors.Join(err, lock.Close())
}

// cleanImporting cleans the state of the importing engine below a state, where there is one
// and it is not at work: it may not be started again for long.
func cleanImporting(ctx context.Context, s state, runtime string) error {
	if _, err := s.dir.Lstat(Importing); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := cleanIfFree(ctx, filepath.Join(s.path, Importing), runtime)
	return err
}

// clean removes what a killed run left: containers that still run, mounts, and
// the bundles they were made from; and blobs of which it had a part, which BuildKit
// would ask its client for the rest of, and that cannot begin in the middle. Whoever holds the lock of root is the only
// user of these, so none of them can belong to a live build.
func clean(ctx context.Context, s state, runtime string) error {
	bundles, err := fs.Glob(s.dir.FS(), bundlePattern)
	if err != nil {
		return fmt.Errorf("listing bundles: %w", err)
	}
	sources, err := mountSources(s.dir.FS(), bundles)
	if err != nil {
		return err
	}
	if err := deleteContainers(ctx, s, bundles, runtime); err != nil {
		return err
	}
	if err := detachMounts(s.path, sources); err != nil {
		return err
	}
	if err := s.each(s.dir.RemoveAll, bundlePattern, "runc-*/content/ingest/*", temporaries, namespaces); err != nil {
		return fmt.Errorf("removing what a killed run left: %w", err)
	}
	return nil
}

const (
	bundlePattern = "runc-*/executor/*"
	temporaries   = "tmp"
	// namespaces is where BuildKit keeps the networks of its recording proxy. It
	// removes what is left there itself, but while it makes new ones.
	namespaces = "net"
)

// keepTemporaries puts this process's temporary files into the state, and containerd's
// mounts, whose place it chose before.
func keepTemporaries(s state) error {
	err := s.dir.Mkdir(temporaries, 0o700)
	if err == nil {
		err = UseTemporaries(s.path)
	}
	if err == nil {
		err = mount.SetTempMountLocation(filepath.Join(s.path, temporaries))
	}
	if err != nil {
		return fmt.Errorf("preparing builder state: %w", err)
	}
	return nil
}

// UseTemporaries puts this process's temporary files into the state folder of an
// exclusive engine that another process of this program's runs.
func UseTemporaries(root string) error {
	return os.Setenv("TMPDIR", filepath.Join(root, temporaries))
}

// mountSources returns the host paths that the containers of the bundles had
// mounted. Secrets are among them: they lie in memory file systems outside of
// the state folder, and a bundle's configuration is the only trace to them.
func mountSources(root fs.FS, bundles []string) ([]string, error) {
	var sources []string
	for _, bundle := range bundles {
		data, err := fs.ReadFile(root, path.Join(bundle, "config.json"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading bundle: %w", err)
		}
		// A run that died while it wrote the file had started no container.
		var spec specs.Spec
		if json.Unmarshal(data, &spec) != nil {
			continue
		}
		for _, m := range spec.Mounts {
			sources = append(sources, m.Source)
		}
	}
	return sources, nil
}

// deleteContainers ends the containers of the bundles. BuildKit names a bundle's
// folder as its container, and removes the container first, so runc's list, which
// is the whole machine's and fails when others change it, is not needed.
func deleteContainers(ctx context.Context, s state, bundles []string, runtime string) error {
	r := &runc.Runc{Command: runtime}
	for _, bundle := range bundles {
		if _, err := s.dir.Lstat(path.Join(bundle, "config.json")); err != nil {
			continue // other files lie there too
		}
		if err := r.Delete(ctx, path.Base(bundle), &runc.DeleteOpts{Force: true}); err != nil {
			return fmt.Errorf("deleting container %q: %w", path.Base(bundle), err)
		}
	}
	return nil
}

// detachMounts unmounts the newest first, as later mounts may lie on earlier
// ones. Detaching works even while a dying process still uses the mount.
func detachMounts(root string, sources []string) error {
	disk, err := diskOf(root)
	if err != nil {
		return err
	}
	other := filepath.Join(root, Importing) // an engine of its own, which may be at work
	otherDisk := place{disk.major, disk.minor, filepath.Join(disk.path, Importing)}
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		ours := isStale(m, root, sources) || disk.bound(m)
		return !ours || isStale(m, other, nil) || otherDisk.bound(m), false
	})
	if err != nil {
		return fmt.Errorf("listing mounts: %w", err)
	}
	for _, m := range slices.Backward(mounts) {
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting %q: %w", m.Mountpoint, err)
		}
		// BuildKit made the folder for this mount; once empty it is litter.
		if isTemporary(m.Mountpoint) {
			_ = os.Remove(m.Mountpoint)
		}
	}
	return nil
}

// place is a folder as the kernel names it: by the disk, and the path on it.
type place struct {
	major, minor int
	path         string
}

// diskOf returns the place of an absolute path.
func diskOf(path string) (place, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(path))
	if err != nil {
		return place{}, fmt.Errorf("listing mounts: %w", err)
	}
	if len(mounts) == 0 {
		return place{}, fmt.Errorf("listing mounts: none has %q", path)
	}
	// Of two mounts at one point, the later one is seen.
	slices.SortStableFunc(mounts, func(a, b *mountinfo.Info) int { return len(a.Mountpoint) - len(b.Mountpoint) })
	m := mounts[len(mounts)-1]
	return place{m.Major, m.Minor, filepath.Join(m.Root, strings.TrimPrefix(path, m.Mountpoint))}, nil
}

// bound recognises a layer below the place that BuildKit mounted, alone and so
// without an overlay, to let the Dockerfile frontend read files of it.
func (p place) bound(m *mountinfo.Info) bool {
	return isTemporary(m.Mountpoint) && m.Major == p.major && m.Minor == p.minor && below(m.Root, p.path)
}

// isStale recognises three kinds of mount: those below root, overlays made of
// layers below root (BuildKit mounts snapshots in the folder for temporary
// files to copy into them), and those that fed the containers of a bundle.
func isStale(m *mountinfo.Info, root string, sources []string) bool {
	if below(m.Mountpoint, root) {
		return true
	}
	if m.FSType == "overlay" && usesLayersOf(m.VFSOptions, root) {
		return true
	}
	return isTemporary(m.Mountpoint) && slices.ContainsFunc(sources, func(source string) bool {
		return source == m.Mountpoint || below(source, m.Mountpoint)
	})
}

// usesLayersOf reports whether a folder named in an overlay's options, such as
// "upperdir=/a,lowerdir=/b:/c", lies below root.
func usesLayersOf(options, root string) bool {
	folders := strings.FieldsFunc(options, func(r rune) bool { return strings.ContainsRune(",=:", r) })
	return slices.ContainsFunc(folders, func(folder string) bool { return below(folder, root) })
}

// isTemporary recognises the folders that BuildKit makes for its own mounts:
// buildkit-mount* and buildkit-secrets*.
func isTemporary(path string) bool {
	return strings.HasPrefix(filepath.Base(path), "buildkit-")
}

// below reports whether path lies strictly below folder. Both are clean.
func below(path, folder string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}
