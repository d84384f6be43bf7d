//go:build linux && amd64

package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/sys/mountinfo"
)

func TestOnlyStaleMountsAreTaken(t *testing.T) {
	const root = "/var/state"
	sources := []string{"/tmp/buildkit-secrets1/token", "/tmp/buildkit-mount2", "/home/user/data", "proc"}
	for name, c := range map[string]struct {
		mount mountinfo.Info
		stale bool
	}{
		"below the root":            {mountinfo.Info{Mountpoint: "/var/state/runc-overlayfs/executor/1/rootfs"}, true},
		"the root itself":           {mountinfo.Info{Mountpoint: "/var/state"}, false},
		"a longer name":             {mountinfo.Info{Mountpoint: "/var/state2/rootfs"}, false},
		"above the root":            {mountinfo.Info{Mountpoint: "/var"}, false},
		"a secret's memory":         {mountinfo.Info{Mountpoint: "/tmp/buildkit-secrets1", FSType: "tmpfs"}, true},
		"a mount of a container":    {mountinfo.Info{Mountpoint: "/tmp/buildkit-mount2"}, true},
		"another builder's secret":  {mountinfo.Info{Mountpoint: "/tmp/buildkit-secrets9", FSType: "tmpfs"}, false},
		"a user's mount":            {mountinfo.Info{Mountpoint: "/home/user/data"}, false},
		"an overlay of our layers":  {mountinfo.Info{Mountpoint: "/tmp/buildkit-mount3", FSType: "overlay", VFSOptions: "rw,lowerdir=/var/state/a:/other,upperdir=/u,workdir=/w"}, true},
		"an overlay of others":      {mountinfo.Info{Mountpoint: "/tmp/buildkit-mount3", FSType: "overlay", VFSOptions: "rw,lowerdir=/var/state2/a:/other"}, false},
		"a disk with such options":  {mountinfo.Info{Mountpoint: "/mnt", FSType: "ext4", VFSOptions: "lowerdir=/var/state/a"}, false},
		"the system's own":          {mountinfo.Info{Mountpoint: "/proc", FSType: "proc"}, false},
		"a folder named by a file":  {mountinfo.Info{Mountpoint: "/tmp/buildkit-secrets1/token"}, false},
		"the root of the machine":   {mountinfo.Info{Mountpoint: "/", FSType: "ext4"}, false},
		"a temporary file's folder": {mountinfo.Info{Mountpoint: "/tmp", FSType: "tmpfs"}, false},
	} {
		if got := isStale(&c.mount, root, sources); got != c.stale {
			t.Errorf("%s: %v, want %v", name, got, c.stale)
		}
	}
}

func TestAnUnfinishedBlobIsRemoved(t *testing.T) {
	root := t.TempDir()
	part := filepath.Join(root, "runc-overlayfs", "content", "ingest", "1")
	if err := os.MkdirAll(part, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(part, "data"), []byte("part"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := openState(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.dir.Close()
	if err := clean(t.Context(), s, "runc"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(part); !os.IsNotExist(err) {
		t.Errorf("the unfinished blob is there: %v", err)
	}
}

// What a killed importing engine left goes too, but not while one is at work.
func TestTheImportingStateIsCleanedWhenItIsFree(t *testing.T) {
	root := t.TempDir()
	importing := filepath.Join(root, Importing)
	part := filepath.Join(importing, "runc-overlayfs", "content", "ingest", "1")
	if err := os.MkdirAll(part, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := openState(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.dir.Close()
	lock, err := acquire(t.Context(), importing, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := cleanImporting(t.Context(), s, "runc"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(part); err != nil {
		t.Errorf("while the engine is at work: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cleanImporting(t.Context(), s, "runc"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(part); !os.IsNotExist(err) {
		t.Errorf("what a killed engine left is there: %v", err)
	}
}

// The frontend's look at a context is a mount of one layer, and no overlay.
func TestALayerThatIsMountedAloneIsFound(t *testing.T) {
	here := place{8, 1, "/data/state"}
	for name, c := range map[string]struct {
		mount mountinfo.Info
		bound bool
	}{
		"a layer of ours":       {mountinfo.Info{Mountpoint: "/tmp/buildkit-mount1", Major: 8, Minor: 1, Root: "/data/state/runc-overlayfs/snapshots/1/fs"}, true},
		"a layer on other disk": {mountinfo.Info{Mountpoint: "/tmp/buildkit-mount1", Major: 8, Minor: 2, Root: "/data/state/runc-overlayfs/snapshots/1/fs"}, false},
		"another state":         {mountinfo.Info{Mountpoint: "/tmp/buildkit-mount1", Major: 8, Minor: 1, Root: "/data/state2/runc-overlayfs/snapshots/1/fs"}, false},
		"a user's mount":        {mountinfo.Info{Mountpoint: "/home/user/look", Major: 8, Minor: 1, Root: "/data/state/runc-overlayfs/snapshots/1/fs"}, false},
	} {
		if got := here.bound(&c.mount); got != c.bound {
			t.Errorf("%s: %v, want %v", name, got, c.bound)
		}
	}
	found, err := diskOf(t.TempDir())
	if err != nil || found.path == "" {
		t.Errorf("place of a folder: %+v, %v", found, err)
	}
}

func TestMountSourcesAreReadFromBundles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, config string) string {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	found, err := mountSources(root.FS(), []string{
		write("whole", `{"mounts": [{"destination": "/run/secrets/a", "source": "/tmp/buildkit-secrets1/a"}]}`),
		write("cut off", `{"mounts": [{"destina`),
		"none",
		"hosts",
	})
	if err != nil || len(found) != 1 || found[0] != "/tmp/buildkit-secrets1/a" {
		t.Errorf("sources: %q, %v", found, err)
	}
}
