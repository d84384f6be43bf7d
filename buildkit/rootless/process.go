//go:build linux && amd64

package rootless

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mrelease/mrelease/buildkit/engine"
)

// Launcher starts children: processes of this program.
type Launcher struct {
	// Path is the list of folders that newuidmap and newgidmap are looked for in.
	Path string
	// Getenv looks up what a child gets of the environment: how the network is reached.
	Getenv func(string) string
}

// environment names what BuildKit's clients of registries read.
func environment() []string {
	return []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR", "GODEBUG"}
}

// Engine is an engine in a process of its own. Its methods may be called from several
// goroutines.
type Engine struct {
	process *process
	ready   ready
	lock    sync.Mutex // of a question and its answer
	close   func() error
}

// Start starts an engine, as engine.Start does, and with the same errors; Log is not
// used. Its error is an [*Error] where this machine or this user cannot have one.
func (l Launcher) Start(ctx context.Context, opts engine.Options) (*Engine, error) {
	p, err := l.launch(ctx, task{
		Root: opts.Root, Runtime: opts.Runtime, Exclusive: opts.Exclusive, Insecure: opts.Insecure, MaxCache: opts.MaxCache,
	}, filepath.Join(opts.Root, containers))
	if err != nil {
		return nil, err
	}
	e := &Engine{process: p}
	e.close = sync.OnceValue(e.shutDown)
	stop := context.AfterFunc(ctx, p.hangUp) // which ends a start
	defer stop()
	for {
		m, err := p.hear()
		switch {
		case ctx.Err() != nil:
			return nil, errors.Join(fmt.Errorf("starting builder: %w", ctx.Err()), p.abandon())
		case err != nil:
			return nil, errors.Join(err, p.abandon())
		case m.Event == waiting && opts.Waiting != nil:
			opts.Waiting()
		case m.Event == discarded && opts.Discarded != nil:
			opts.Discarded()
		case m.Ready != nil:
			e.ready = *m.Ready
			return e, nil
		}
	}
}

// Probe tries a namespace, and says how an engine would keep layers on the disk of a
// folder that exists, as engine.Layers does. Its error is that of Start.
func (l Launcher) Probe(ctx context.Context, folder string) (layers string, err error) {
	p, err := l.launch(ctx, task{Near: folder}, "")
	if err != nil {
		return "", err
	}
	m, err := p.hear()
	err = errors.Join(err, p.abandon())
	if err != nil || m.Ready == nil {
		return "", err
	}
	return m.Ready.Layers, nil
}

// Remove removes state folders of engines that ended or were killed: some of what is
// in them belongs to subordinate ids, which this user cannot remove by itself.
func (l Launcher) Remove(ctx context.Context, roots []string, runtime string) error {
	if len(roots) == 0 {
		return nil
	}
	p, err := l.launch(ctx, task{Remove: roots, Runtime: runtime}, filepath.Join(roots[0], containers))
	if err != nil {
		return err
	}
	_, err = p.hear()
	return errors.Join(err, p.abandon())
}

// Dial connects to the engine.
func (e *Engine) Dial(context.Context) (net.Conn, error) {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "connection"), os.NewFile(uintptr(ends[1]), "connection")
	if err := errors.Join(e.process.control.send(message{Connect: true}, theirs), theirs.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to the builder: %w", err), ours.Close())
	}
	conn, err := net.FileConn(ours)
	return conn, errors.Join(err, ours.Close())
}

// Blobs returns the folder of the engine's content store, as engine.Engine's does.
func (e *Engine) Blobs() string { return e.ready.Blobs }

// Lacks names what confined containers do without, as engine.Engine's does.
func (e *Engine) Lacks() []string { return e.ready.Lacks }

// Distrust has the next Start throw the cache away, as engine.Engine's does.
func (e *Engine) Distrust() error { return e.ask(message{Distrust: true}) }

// Close stops the engine and gives the state folder free. Further calls return the
// first call's result.
func (e *Engine) Close() error { return e.close() }

func (e *Engine) shutDown() error {
	time.AfterFunc(lastCall+time.Second, e.process.hangUp)
	return errors.Join(e.ask(message{Close: true}), e.process.abandon())
}

func (e *Engine) ask(m message) error {
	e.lock.Lock()
	defer e.lock.Unlock()
	if err := e.process.control.send(m, nil); err != nil {
		return e.process.gone(err)
	}
	_, err := e.process.hear()
	return err
}

// process is a child, from the outside.
type process struct {
	command *exec.Cmd
	control socket
	words   *tail // what it said before it died, if it did
	hangUp  func()
}

// containers is where, in the state folder, runc keeps what it knows of containers: it
// would in /run, which is root's.
const containers = "run"

// launch starts a child in namespaces of its own, and gives it its task. The folder is
// for files of this run of it.
func (l Launcher) launch(ctx context.Context, t task, folder string) (*process, error) {
	mapped, err := findIDs(l.Path)
	if err != nil {
		return nil, err
	}
	control, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	p := &process{command: l.command(mapped, folder), control: control, words: &tail{}}
	p.hangUp = sync.OnceFunc(func() { _ = control.conn.Close() }) // what was sent was answered
	p.command.ExtraFiles, p.command.Stderr = []*os.File{theirs}, p.words
	err = p.command.Start()
	if err := errors.Join(err, theirs.Close()); err != nil {
		p.hangUp()
		return nil, refused(machine(), err)
	}
	err = mapped.mapTo(ctx, p.command.Process.Pid)
	if err == nil {
		err = control.send(message{Task: &t}, nil)
	}
	if err != nil {
		return nil, errors.Join(err, p.abandon())
	}
	return p, nil
}

// command is this program again. It is root in its namespace when its user is mapped,
// which is after it began: until then it has its powers from the ambient set.
func (l Launcher) command(mapped ids, folder string) *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Args = []string{childName}
	c.Dir = "/"
	c.Env = []string{"PATH=" + l.Path + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if folder != "" {
		c.Env = append(c.Env, "XDG_RUNTIME_DIR="+folder)
	}
	for _, name := range environment() {
		if value := l.Getenv(name); value != "" {
			c.Env = append(c.Env, name+"="+value)
		}
	}
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		AmbientCaps: capabilities(),
		UidMappings: mapped.own, GidMappings: mapped.ownGroups, GidMappingsEnableSetgroups: mapped.own != nil,
	}
	return c
}

// capabilities are all that the oldest kernels have that this can run on.
func capabilities() []uintptr {
	const last = 37 // CAP_AUDIT_READ, of Linux 3.16
	all := make([]uintptr, last+1)
	for i := range all {
		all[i] = uintptr(i)
	}
	return all
}

// hear waits for what the child says; a fault is an error.
func (p *process) hear() (message, error) {
	m, _, err := p.control.receive()
	if err != nil {
		return message{}, p.gone(err)
	}
	if m.Failed == nil {
		return m, nil
	}
	err = m.Failed.err()
	var mount *mountError
	if errors.As(err, &mount) {
		return m, unusable(machine(), mount)
	}
	return m, err
}

// gone says what is known of a child that does not answer.
func (p *process) gone(err error) error {
	if words := strings.TrimSpace(p.words.String()); words != "" {
		return fmt.Errorf("the builder's process ended: %s", words)
	}
	return fmt.Errorf("the builder's process ended: %w", err)
}

// abandon ends a child that has nothing more to do, and waits for it.
func (p *process) abandon() error {
	p.hangUp()
	kill := time.AfterFunc(2*lastCall, func() { _ = p.command.Process.Kill() }) // it may have ended
	defer kill.Stop()
	var exit *exec.ExitError
	if err := p.command.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}
