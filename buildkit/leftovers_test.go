package buildkit_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	runc "github.com/containerd/go-runc"
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

func containers(t *testing.T, folder string) (found []*runc.Container) {
	t.Helper()
	all, err := (&runc.Runc{Command: runtime()}).List(t.Context())
	check(t, err)
	for _, c := range all {
		if strings.HasPrefix(c.Bundle, folder) {
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
