//go:build linux && amd64

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	runc "github.com/containerd/go-runc"
	"github.com/moby/sys/userns"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The limits of a confined container. One of a build has those of the machine: what
// it runs is the Dockerfile's.
const (
	maxProcesses = 512
	maxWritten   = 256 << 20 // bytes, of all files together; they are in memory, and count as such
	maxFiles     = 1 << 16
	// Of the machine's memory, at most half: an enclave's heap, which the program may
	// have, is no less.
	memoryShare = 2
)

// keptCapabilities are those that the scripts need that images start with: they own
// folders, and change the user.
func keptCapabilities() []string {
	return []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"}
}

// confine tightens the container that a command is about to start, if it is a confined
// one, and returns what is to be done after its end.
func confine(c *exec.Cmd) (undo func() error, err error) {
	nothing := func() error { return nil }
	at := slices.Index(c.Args, "--bundle")
	if !slices.Contains(c.Args, "run") || at < 0 || at+1 >= len(c.Args) {
		return nothing, nil
	}
	b := bundle{c.Args[at+1], &runc.Runc{Command: c.Path}}
	spec, err := b.read()
	if err != nil || spec.Hostname != ConfinedHost {
		return nothing, err
	}
	if err := b.limitDisk(spec); err != nil {
		return nil, fmt.Errorf("limiting what a container writes: %w", errors.Join(err, b.unmount()))
	}
	if err := b.tighten(spec); err != nil {
		return nil, fmt.Errorf("confining a container: %w", errors.Join(err, b.unmount()))
	}
	return b.unmount, nil
}

// bundle is the folder of a container.
type bundle struct {
	path    string
	runtime *runc.Runc
}

func (b bundle) config() string  { return filepath.Join(b.path, "config.json") }
func (b bundle) written() string { return filepath.Join(b.path, "written") }

func (b bundle) read() (*specs.Spec, error) {
	data, err := os.ReadFile(b.config())
	if err != nil {
		return nil, fmt.Errorf("reading bundle: %w", err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("parsing bundle: %w", err)
	}
	return &spec, nil
}

func (b bundle) write(spec *specs.Spec) error {
	data, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(b.config(), data, 0o600)
}

// limitDisk lays an overlay over the root, whose upper side is a file system in memory
// of limited size. Where that cannot be, the root is read only, and /tmp is one.
func (b bundle) limitDisk(spec *specs.Spec) error {
	size := fmt.Sprintf("size=%d,nr_inodes=%d", maxWritten, maxFiles)
	if err := os.Mkdir(b.written(), 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", b.written(), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, size+",mode=0700"); err != nil {
		return err
	}
	upper, work, root := filepath.Join(b.written(), "upper"), filepath.Join(b.written(), "work"), filepath.Join(b.written(), "root")
	info, err := os.Stat(spec.Root.Path)
	if err != nil {
		return err
	}
	for dir, mode := range map[string]os.FileMode{upper: info.Mode().Perm(), work: 0o700, root: 0o700} {
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)); err != nil {
			return err
		}
	}
	if err := os.Chown(upper, owner(info), group(info)); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", spec.Root.Path, upper, work)
	if userns.RunningInUserNS() { // where an overlay may keep no notes but in attributes of users
		options += ",userxattr"
	}
	if err := unix.Mount("overlay", root, "overlay", 0, options); err == nil {
		spec.Root.Path = root
		return nil
	}
	spec.Root.Readonly = true
	spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", size, "mode=1777"}})
	return nil
}

// unmount takes away what limitDisk made.
func (b bundle) unmount() error {
	var errs []error
	for _, at := range []string{filepath.Join(b.written(), "root"), b.written()} {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("unmounting %q: %w", at, err))
		}
	}
	return errors.Join(errs...)
}

// tighten takes privileges away, and sets limits. Of what not every machine has, a user
// namespace and control groups for memory and processes, it takes as much as the
// runtime can: it has a container made that starts nothing.
func (b bundle) tighten(spec *specs.Spec) error {
	spec.Process.NoNewPrivileges = true
	if caps := spec.Process.Capabilities; caps != nil {
		for _, set := range []*[]string{&caps.Bounding, &caps.Effective, &caps.Permitted, &caps.Inheritable, &caps.Ambient} {
			*set = slices.DeleteFunc(*set, func(name string) bool { return !slices.Contains(keptCapabilities(), name) })
		}
	}
	limits := []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}, {Type: "RLIMIT_FSIZE", Soft: maxWritten, Hard: maxWritten}}
	spec.Process.Rlimits = append(slices.DeleteFunc(spec.Process.Rlimits, func(l specs.POSIXRlimit) bool {
		return l.Type == "RLIMIT_CORE" || l.Type == "RLIMIT_FSIZE"
	}), limits...)
	if userns.RunningInUserNS() {
		return b.write(spec) // that one is the limit, and control groups are not to be had in it
	}
	known, err := b.openNote()
	if err != nil {
		return err
	}
	defer known.close()
	for _, have := range []extent{{users: true, groups: true}, {groups: true}, {users: true}, {}} {
		if known.extent != "" && known.extent != have.String() {
			continue
		}
		if err := b.writeWith(spec, have); err != nil || known.extent != "" {
			return err
		}
		if b.try() == nil {
			return known.write(have)
		}
	}
	// It is not for want of these: the program is missing, perhaps. The run will say.
	return b.writeWith(spec, extent{users: true, groups: true})
}

func (b bundle) writeWith(spec *specs.Spec, have extent) error {
	tight, err := have.with(spec)
	if err != nil {
		return err
	}
	return b.write(tight)
}

// try has the container made, and removed again. Its program is not started.
func (b bundle) try() error {
	id, ctx := filepath.Base(b.path), context.Background()
	streams, err := runc.NewNullIO()
	if err != nil {
		return err
	}
	err = b.runtime.Create(ctx, id, b.path, &runc.CreateOpts{IO: streams})
	return errors.Join(err, b.runtime.Delete(ctx, id, &runc.DeleteOpts{Force: true}), streams.Close())
}

// extent is what a machine may not have.
type extent struct{ users, groups bool }

// String is how a note has it.
func (e extent) String() string { return fmt.Sprintf("users=%t groups=%t", e.users, e.groups) }

// with returns a copy of a container's configuration with all that is there.
func (e extent) with(spec *specs.Spec) (*specs.Spec, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	var tight specs.Spec
	if err := json.Unmarshal(data, &tight); err != nil {
		return nil, err
	}
	if e.groups {
		if err := limitMemory(&tight); err != nil {
			return nil, err
		}
	}
	if e.users {
		err = isolateUsers(&tight)
	}
	return &tight, err
}

func limitMemory(spec *specs.Spec) error {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return fmt.Errorf("measuring memory: %w", err)
	}
	memory, processes := int64(info.Totalram)*int64(info.Unit)/memoryShare, int64(maxProcesses)
	if spec.Linux.Resources == nil {
		spec.Linux.Resources = &specs.LinuxResources{}
	}
	spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
	spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: &processes}
	return nil
}

// isolateUsers gives the container users of its own, with the numbers that files have:
// its root can do nothing outside of it that needs a privilege.
func isolateUsers(spec *specs.Spec) error {
	spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	for file, to := range map[string]*[]specs.LinuxIDMapping{"/proc/self/uid_map": &spec.Linux.UIDMappings, "/proc/self/gid_map": &spec.Linux.GIDMappings} {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading users: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			var inside, outside, size uint32
			if _, err := fmt.Sscan(line, &inside, &outside, &size); err != nil {
				return fmt.Errorf("reading users in %s: %w", file, err)
			}
			*to = append(*to, specs.LinuxIDMapping{ContainerID: inside, HostID: inside, Size: size})
		}
	}
	return nil
}

// group returns the group that a file belongs to.
func group(info fs.FileInfo) int {
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(of.Gid)
	}
	return -1
}
