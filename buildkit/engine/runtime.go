//go:build linux && amd64

package engine

import (
	"errors"
	"os/exec"
	"slices"
	"strings"

	runc "github.com/containerd/go-runc"
	"github.com/sirupsen/logrus"
)

// runtimes starts the processes of the runtime for BuildKit, which has no setting for
// what is done here.
type runtimes struct{ runc.ProcessMonitor }

// guardRuntime puts runtimes between BuildKit and runc. Both have one way to start
// runc for the whole process; it is changed once, and never back.
func guardRuntime() {
	if _, ok := runc.Monitor.(runtimes); !ok { // builds of another engine may use it now
		runc.Monitor = runtimes{runc.Monitor}
	}
}

// Start implements runc.ProcessMonitor.
func (r runtimes) Start(c *exec.Cmd) (chan runc.Exit, error) {
	return prepared(c, r.ProcessMonitor.Start)
}

// StartLocked implements runc.ProcessMonitor.
func (r runtimes) StartLocked(c *exec.Cmd) (chan runc.Exit, error) {
	return prepared(c, r.ProcessMonitor.StartLocked)
}

// prepared starts a process of the runtime, and tidies up after it.
func prepared(c *exec.Cmd, start func(*exec.Cmd) (chan runc.Exit, error)) (chan runc.Exit, error) {
	c.Env = runtimeEnvironment(c.Env)
	undo, err := confine(c)
	if err != nil {
		return nil, err
	}
	ended, err := start(c)
	if err != nil {
		return nil, errors.Join(err, undo())
	}
	tidied := make(chan runc.Exit, 1)
	go func() {
		defer close(tidied)
		for exit := range ended {
			if err := undo(); err != nil {
				logrus.Warn(err) // BuildKit fails when it cannot remove the bundle
			}
			tidied <- exit
		}
	}()
	return tidied, nil
}

// runtimeEnvironment leaves the runtime where it finds programs and keeps its state
// (runc's shouldHonorXDGRuntimeDir). The rest of this process's environment has
// passwords in it, and is no business of the runtime.
func runtimeEnvironment(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains([]string{"PATH", "XDG_RUNTIME_DIR", "USER"}, name)
	})
}
