package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryGroup is a control group of the kernel with a limit of memory, for a command and
// all that it starts.
type memoryGroup struct{ dir string }

// newMemoryGroup makes a control group, of the kernel's version 1 or 2, whichever has the
// controller of memory. Its error says why there is none.
func newMemoryGroup(name string, limit int64) (*memoryGroup, error) {
	root, file := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if controllers, err := os.ReadFile("/sys/fs/cgroup/cgroup.subtree_control"); err == nil && strings.Contains(string(controllers), "memory") {
		root, file = "/sys/fs/cgroup", "memory.max"
	}
	g := &memoryGroup{filepath.Join(root, name)}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("making a control group: %w", err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, file), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("limiting a control group: %w", err), g.remove())
	}
	return g, nil
}

// enter has a command run in the group: a shell goes in, and becomes the command.
func (g *memoryGroup) enter(cmd *exec.Cmd) {
	cmd.Args = append([]string{"/bin/sh", "-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs"), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
}

func (g *memoryGroup) remove() error { return os.Remove(g.dir) }
