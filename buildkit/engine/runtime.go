package engine

import (
	"os/exec"
	"slices"
	"strings"

	runc "github.com/containerd/go-runc"
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
	c.Env = runtimeEnvironment(c.Env)
	return r.ProcessMonitor.Start(c)
}

// StartLocked implements runc.ProcessMonitor.
func (r runtimes) StartLocked(c *exec.Cmd) (chan runc.Exit, error) {
	c.Env = runtimeEnvironment(c.Env)
	return r.ProcessMonitor.StartLocked(c)
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
