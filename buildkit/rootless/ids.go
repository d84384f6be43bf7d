//go:build linux && amd64

package rootless

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"
)

// minIDs is how many subordinate ids a user needs: with that of the user itself they
// are 0 to 65536, and files of images have owners up to nobody, 65534.
const minIDs = 65535

// ids are the users and groups of a namespace. Either this process maps them, or, with
// the arguments that they get, newuidmap and newgidmap do.
type ids struct {
	own                  []syscall.SysProcIDMap // users; nil when helpers map
	ownGroups            []syscall.SysProcIDMap
	newuidmap, newgidmap []string // program and arguments, but for the process
}

// Privileged reports whether this process can do what an engine does without a user
// namespace of its own: whether it is root, with root's powers.
func Privileged() bool { return os.Geteuid() == 0 && has(unix.CAP_SYS_ADMIN) }

// has reports whether this process has a capability.
func has(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}

// findIDs finds the ids that this user can map, with helpers in the folders of a PATH.
func findIDs(path string) (ids, error) {
	if os.Geteuid() == 0 && has(unix.CAP_SETUID) && has(unix.CAP_SETGID) && has(unix.CAP_SETFCAP) {
		return ownIDs()
	}
	uid, gid := os.Geteuid(), os.Getegid()
	who := account(uid)
	var found ids
	for _, kind := range []struct {
		helper, file string
		id           int
		command      *[]string
	}{{"newuidmap", "/etc/subuid", uid, &found.newuidmap}, {"newgidmap", "/etc/subgid", gid, &found.newgidmap}} {
		helper := findHelper(path, kind.helper)
		if helper == "" {
			return ids{}, &Error{kind.helper + " is not installed, which a user needs who is not root", "sudo apt-get install uidmap"}
		}
		first, count, err := subordinate(kind.file, who, uid)
		if err != nil {
			return ids{}, err
		}
		if count < minIDs {
			return ids{}, &Error{
				fmt.Sprintf("%s gives %s %d ids, and files of images have %d", kind.file, who, count, minIDs),
				fmt.Sprintf("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s (another range where that is taken)", who),
			}
		}
		*kind.command = []string{helper, "0", strconv.Itoa(kind.id), "1", "1", strconv.FormatInt(first, 10), strconv.FormatInt(count, 10)}
	}
	return found, nil
}

// ownIDs gives the namespace all ids that this process has, with their numbers.
func ownIDs() (ids, error) {
	read := func(current func() ([]user.IDMap, error)) ([]syscall.SysProcIDMap, error) {
		all, err := current()
		if err != nil {
			return nil, fmt.Errorf("reading users: %w", err)
		}
		var same []syscall.SysProcIDMap
		for _, m := range all {
			same = append(same, syscall.SysProcIDMap{ContainerID: int(m.ID), HostID: int(m.ID), Size: int(m.Count)})
		}
		return same, nil
	}
	users, err := read(user.CurrentProcessUIDMap)
	if err != nil {
		return ids{}, err
	}
	groups, err := read(user.CurrentProcessGIDMap)
	return ids{own: users, ownGroups: groups}, err
}

// account is a user's name, or the number where there is none. Both stand in
// /etc/subuid.
func account(uid int) string {
	if u, err := user.LookupUid(uid); err == nil {
		return u.Name
	}
	return strconv.Itoa(uid)
}

// subordinate returns a user's largest range in /etc/subuid or /etc/subgid; the latter
// names users, too.
func subordinate(file, name string, uid int) (first, count int64, err error) {
	ranges, err := user.ParseSubIDFileFilter(file, func(s user.SubID) bool { return s.Name == name || s.Name == strconv.Itoa(uid) })
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, 0, fmt.Errorf("reading %s: %w", file, err)
	}
	for _, r := range ranges {
		if r.Count > count {
			first, count = r.SubID, r.Count
		}
	}
	return first, min(count, 1<<16), nil
}

// findHelper looks for a program where that of nobody else can be meant.
func findHelper(path, name string) string {
	for _, dir := range append(filepath.SplitList(path), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin") {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

// mapTo lets the helpers map the ids of a process that waits for them.
func (i ids) mapTo(ctx context.Context, process int) error {
	for _, command := range [][]string{i.newuidmap, i.newgidmap} {
		if command == nil {
			continue
		}
		c := exec.CommandContext(ctx, command[0], append([]string{strconv.Itoa(process)}, command[1:]...)...)
		c.Env = []string{}
		words := &tail{}
		c.Stdout, c.Stderr = words, words
		if err := c.Run(); err != nil {
			return unmapped(command[0], strings.TrimSpace(words.String()), err)
		}
	}
	return nil
}
