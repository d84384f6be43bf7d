package buildkit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
)

// leftovers returns the containers and mounts that belong to a folder: what a
// build uses while it runs, and must not leave.
func leftovers(t *testing.T, folder string) (found []string) {
	t.Helper()
	for _, c := range containers(t, folder) {
		found = append(found, "container "+c.ID)
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(folder))
	check(t, err)
	for _, m := range mounts {
		found = append(found, "mount "+m.Mountpoint)
	}
	return found
}

// container is what runc notes of one that it has made and not deleted.
type container struct {
	ID     string `json:"id"`
	Pid    int    `json:"init_process_pid"`
	Config struct {
		Labels []string `json:"labels"` // "bundle=" and its path among them
	} `json:"config"`
}

// containers reads runc's notes. Its list is the whole machine's, and fails when a
// container of another test ends meanwhile.
func containers(t *testing.T, folder string) (found []container) {
	t.Helper()
	all, err := filepath.Glob("/run/runc/*/state.json")
	check(t, err)
	for _, file := range all {
		note, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		check(t, err)
		var c container
		check(t, json.Unmarshal(note, &c))
		if slices.ContainsFunc(c.Config.Labels, func(l string) bool { return strings.HasPrefix(l, "bundle="+folder) }) {
			found = append(found, c)
		}
	}
	return found
}

// runtime returns the path of runc, which Debian keeps where the search path of
// a user may not lead.
func runtime() string {
	if path, err := exec.LookPath("runc"); err == nil {
		return path
	}
	return "/usr/sbin/runc"
}

// runs reports whether a process exists and has not ended.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}
