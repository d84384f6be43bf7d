package buildkit_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	runc "github.com/containerd/go-runc"
	"github.com/moby/sys/mountinfo"
)

// leftovers returns the containers, processes and mounts that belong to a
// folder: what a build uses while it runs, and must not leave.
func leftovers(t *testing.T, folder string) []string {
	t.Helper()
	return append(append(containers(t, folder), mounts(t, folder)...), processes(t, folder)...)
}

func containers(t *testing.T, folder string) (found []string) {
	t.Helper()
	command, err := exec.LookPath("runc")
	if err != nil {
		command = "/usr/sbin/runc"
	}
	all, err := (&runc.Runc{Command: command}).List(t.Context())
	check(t, err)
	for _, c := range all {
		if strings.HasPrefix(c.Bundle, folder) {
			found = append(found, fmt.Sprintf("container %s (%s)", c.ID, c.Status))
			found = append(found, processes(t, c.ID)...)
		}
	}
	return found
}

func mounts(t *testing.T, folder string) (found []string) {
	t.Helper()
	all, err := mountinfo.GetMounts(mountinfo.PrefixFilter(folder))
	check(t, err)
	for _, m := range all {
		found = append(found, "mount "+m.Mountpoint)
	}
	return found
}

// processes returns those that have a text in their command line.
func processes(t *testing.T, text string) (found []string) {
	t.Helper()
	for _, file := range must(filepath.Glob("/proc/[0-9]*/cmdline")) {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(text)) {
			found = append(found, "process "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}
