//go:build unix

package canary

import (
	"os/exec"
	"syscall"
)

// asGroup makes what a program starts end with it: when its time is over, and when end is
// called, for what it left behind.
func asGroup(c *exec.Cmd) (end func()) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	return func() {
		if c.Process != nil {
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // it fails where nothing is left
		}
	}
}
