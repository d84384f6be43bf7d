package worker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	runc "github.com/containerd/go-runc"
	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ExitError says that the program failed.
type ExitError struct {
	Code int
	Said string // the end of what it wrote to its standard streams
}

// Error implements error.
func (e *ExitError) Error() string {
	return fmt.Sprintf("the program ended with %d: %s", e.Code, e.Said)
}

// compute runs the program of the app.
func (j *job) compute(ctx context.Context) error {
	command, err := j.command()
	if err != nil {
		return err
	}
	spec, err := j.container(command)
	if err != nil {
		return err
	}
	data, err := json.Marshal(spec)
	if err == nil {
		err = os.WriteFile(filepath.Join(j.dir, "config.json"), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("describing container: %w", err)
	}
	ctx, stop := j.limit(ctx)
	defer stop()
	return j.start(ctx)
}

// start runs the container to its end, or to that of ctx.
func (j *job) start(ctx context.Context) error {
	id := "mrelease-task-" + strings.ToLower(rand.Text())
	runtime := &runc.Runc{Root: filepath.Join(j.dir, "state"), PdeathSignal: syscall.SIGKILL}
	said := &tail{}
	whole := context.WithoutCancel(ctx)
	stop := context.AfterFunc(ctx, func() { runtime.Kill(whole, id, int(syscall.SIGKILL), &runc.KillOpts{All: true}) })
	defer stop()
	code, err := runtime.Run(whole, id, j.dir, &runc.CreateOpts{IO: said})
	if ctx.Err() != nil {
		return fmt.Errorf("the program was stopped: %w", context.Cause(ctx))
	}
	switch {
	case code > 0:
		return &ExitError{code, said.text()}
	case err != nil:
		return fmt.Errorf("running container: %w", err)
	}
	return nil
}

// command is what the container starts. In 2019 the requester wrote it into the params;
// then the app's fingerprint had it as its last part, then the enclave's configuration
// as its entrypoint, and the requester's arguments follow it. An app without any of
// these starts as its image says.
func (j *job) command() ([]string, error) {
	args, err := words(j.params.Args)
	if err != nil {
		return nil, fmt.Errorf("reading arguments: %w", err)
	}
	parts := strings.SplitN(j.App.MREnclave, "|", 4)
	var enclave struct{ Entrypoint string }
	entrypoint := slices.Clone(j.image.config.Entrypoint)
	switch {
	case len(parts) == 4:
		entrypoint, err = words(parts[3])
	case len(parts) == 3 && j.isCommand && len(args) > 0:
		return args, nil
	case json.Unmarshal([]byte(j.App.MREnclave), &enclave) == nil && enclave.Entrypoint != "":
		entrypoint, err = words(enclave.Entrypoint)
	case len(args) == 0:
		args = j.image.config.Cmd
	}
	if err != nil {
		return nil, fmt.Errorf("reading entrypoint: %w", err)
	}
	command := append(entrypoint, args...)
	if len(command) == 0 {
		return nil, errors.New("the image has neither ENTRYPOINT nor CMD, and the params name no command")
	}
	return command, nil
}

// container describes the container: the image's root, the two folders, no network.
func (j *job) container(command []string) (*specs.Spec, error) {
	who, err := j.user()
	if err != nil {
		return nil, err
	}
	c := j.image.config
	cwd := c.WorkingDir
	if cwd == "" {
		cwd = "/"
	}
	capabilities := []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"}
	spec := &specs.Spec{
		Version:  "1.0.2",
		Hostname: "worker",
		Root:     &specs.Root{Path: "root"},
		Process: &specs.Process{
			Args: command, Env: slices.Concat(c.Env, j.environment), Cwd: cwd, User: who, NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{Bounding: capabilities, Effective: capabilities, Permitted: capabilities},
			Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}, {Type: "RLIMIT_FSIZE", Hard: maxResult, Soft: maxResult}},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=65536k"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{Destination: inside, Type: "bind", Source: j.in(), Options: []string{"rbind", "ro", "nosuid", "nodev"}},
			{Destination: outside, Type: "bind", Source: j.out(), Options: []string{"rbind", "rw", "nosuid", "nodev"}},
		},
		Linux: &specs.Linux{
			Namespaces:    []specs.LinuxNamespace{{Type: "pid"}, {Type: "network"}, {Type: "ipc"}, {Type: "uts"}, {Type: "mount"}},
			MaskedPaths:   []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	if uid := os.Geteuid(); uid != 0 { // whoever is not root has one user to give, that of the container's root
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: "user"})
		spec.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: uint32(uid), Size: 1}}
		spec.Linux.GIDMappings = []specs.LinuxIDMapping{{HostID: uint32(os.Getegid()), Size: 1}}
	}
	return spec, nil
}

// user finds who the program runs as.
func (j *job) user() (specs.User, error) {
	found, err := user.GetExecUserPath(j.image.config.User, &user.ExecUser{}, j.within("/etc/passwd"), j.within("/etc/group"))
	if err != nil {
		return specs.User{}, fmt.Errorf("finding user %q in the image: %w", j.image.config.User, err)
	}
	if os.Geteuid() != 0 && (found.Uid != 0 || found.Gid != 0) {
		return specs.User{}, fmt.Errorf("the image's user is %q: only root can start a container as another user than its root", j.image.config.User)
	}
	who := specs.User{UID: uint32(found.Uid), GID: uint32(found.Gid)}
	for _, g := range found.Sgids {
		who.AdditionalGids = append(who.AdditionalGids, uint32(g))
	}
	return who, nil
}

// within is a file of the image, unless it is a link.
func (j *job) within(file string) string {
	at := filepath.Join(j.image.root, file)
	if info, err := os.Lstat(at); err != nil || !info.Mode().IsRegular() {
		return os.DevNull
	}
	return at
}

// words splits a command line at spaces; quotes keep words together, as in a shell.
func words(line string) ([]string, error) {
	var list []string
	var word strings.Builder
	var quote rune
	started := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, started = r, true
		case quote == 0 && strings.ContainsRune(" \t\r\n", r):
			if started {
				list, started = append(list, word.String()), false
				word.Reset()
			}
		default:
			word.WriteRune(r)
			started = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote (%c) is not closed", quote)
	}
	if started {
		list = append(list, word.String())
	}
	return list, nil
}

// tail keeps the end of what a program says; it is a [runc.IO].
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// maxSaid is how much is kept, in bytes.
const maxSaid = 2 << 10

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p[max(0, len(p)-maxSaid):]...)
	t.kept = t.kept[max(0, len(t.kept)-maxSaid):]
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "?"))
}

// Set implements [runc.IO]: what is said goes to the tail, and nothing is to be read.
func (t *tail) Set(c *exec.Cmd) { c.Stdout, c.Stderr = t, t }

// Stdin and the rest of [runc.IO] are of no use to who reads it all.
func (t *tail) Stdin() io.WriteCloser { return nil }
func (t *tail) Stdout() io.ReadCloser { return nil }
func (t *tail) Stderr() io.ReadCloser { return nil }
func (t *tail) Close() error          { return nil }
