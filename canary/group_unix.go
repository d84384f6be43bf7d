//go:build unix

package canary

import (
	"os/exec"
	"syscall"
)

// asGroup makes what a program starts end with it when its time is over.
func asGroup(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}
