//go:build linux && amd64

package rootless

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Error says why there can be no engine for a user who is not root.
type Error struct {
	Problem string
	// Remedy is what brings one: a command, where there is one.
	Remedy string
}

// Error implements error.
func (e *Error) Error() string { return e.Problem }

// machine is /proc, in which the kernel's settings are.
func machine() fs.FS { return os.DirFS("/proc") }

// setting reads one of the kernel's settings; "" when it does not have it.
func setting(proc fs.FS, name string) string {
	text, err := fs.ReadFile(proc, "sys/"+name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// status reads a line of /proc/self/status.
func status(proc fs.FS, name string) string {
	text, err := fs.ReadFile(proc, "self/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Remedies that stand in two places.
const (
	freeContainer = "start the container with --privileged, or with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined (GitLab's runner: privileged, or security_opt, in config.toml)"
	allowArmor    = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (and in /etc/sysctl.d, to keep it)"
)

// refused says why the kernel starts no process in a user namespace.
func refused(proc fs.FS, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC) || setting(proc, "user/max_user_namespaces") == "0":
		return &Error{"the kernel gives no more user namespaces: user.max_user_namespaces is " + setting(proc, "user/max_user_namespaces"), "sudo sysctl -w user.max_user_namespaces=15000 (and in /etc/sysctl.d, to keep it)"}
	case errors.Is(err, syscall.EINVAL):
		return &Error{"this kernel has no user namespaces", "a kernel with CONFIG_USER_NS"}
	case !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES):
		return fmt.Errorf("starting the builder's process: %w", err)
	case setting(proc, "kernel/unprivileged_userns_clone") == "0":
		return &Error{"user namespaces are for root only: kernel.unprivileged_userns_clone is 0", "sudo sysctl -w kernel.unprivileged_userns_clone=1 (and in /etc/sysctl.d, to keep it)"}
	case status(proc, "Seccomp") == "2":
		return &Error{"a seccomp filter, such as that of a container, allows no user namespace", freeContainer}
	case setting(proc, "kernel/apparmor_restrict_unprivileged_userns") == "1":
		return &Error{"AppArmor allows no user namespace: kernel.apparmor_restrict_unprivileged_userns is 1", allowArmor}
	}
	return &Error{"the kernel allows no user namespace: " + err.Error(), "ask who runs this machine to allow user namespaces"}
}

// unusable says why a user namespace that is there cannot be used.
func unusable(proc fs.FS, err *mountError) error {
	switch {
	case setting(proc, "kernel/apparmor_restrict_unprivileged_userns") == "1":
		return &Error{"AppArmor lets nothing be mounted in a user namespace: kernel.apparmor_restrict_unprivileged_userns is 1", allowArmor}
	case err.what == "/proc" && errors.Is(err, syscall.EPERM):
		return &Error{"parts of /proc are covered here, as in a container; no other can then be mounted for the build's containers", freeContainer}
	}
	return &Error{"in a user namespace of this machine nothing can be mounted: " + err.Error(), "ask who runs this machine: a security module, or a container's limits, forbid mounts"}
}

// unmapped says why a helper did not map ids.
func unmapped(helper, words string, err error) error {
	if status(machine(), "NoNewPrivs") == "1" {
		return &Error{filepath.Base(helper) + " cannot become root: this process may gain no privileges (no_new_privs)", "start it without no_new_privs (docker: without --security-opt no-new-privileges; systemd: NoNewPrivileges=no)"}
	}
	if words == "" {
		words = err.Error()
	}
	return &Error{fmt.Sprintf("%s maps no ids: %s", helper, words), "sudo apt-get install --reinstall uidmap (which makes it setuid again), and see that /etc/subuid and /etc/subgid name ranges of nobody else"}
}

// maxTail bounds what is kept of a process's last words, in bytes.
const maxTail = 16 << 10

// tail keeps the end of what is written to it.
type tail struct {
	lock sync.Mutex
	kept []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - maxTail; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.lock.Lock()
	defer t.lock.Unlock()
	return string(t.kept)
}
