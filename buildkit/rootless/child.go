//go:build linux && amd64

package rootless

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mrelease/mrelease/buildkit/engine"
)

// childName is what a child is called: its first argument.
const childName = "mrelease-builder"

// controlFile is the child's end of the control socket.
const controlFile = 3

// lastCall bounds how long a child takes to end when nobody waits for it.
const lastCall = 10 * time.Second

// IsChild reports whether a program with these arguments was started by [Start]: its
// main function then does nothing but [Serve].
func IsChild(args []string) bool { return len(args) == 1 && args[0] == childName }

// Serve is the child's main function: it returns the exit code. The namespace is
// there, and its ids are mapped before the task comes.
func Serve() int {
	// Whoever started this decides when it ends; a terminal would tell both.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	control, err := openSocket(os.NewFile(controlFile, "control"))
	if err != nil {
		return 1
	}
	first, _, err := control.receive()
	if err != nil || first.Task == nil {
		return 1
	}
	c := child{control: control, connections: newHandedOver()}
	if err := c.do(*first.Task); err != nil {
		_ = control.send(message{Failed: newFault(err)}, nil) // who would hear that it failed
		return 1
	}
	return 0
}

type child struct {
	control     socket
	connections *handedOver
}

func (c child) do(t task) error {
	if err := enter(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	switch {
	case t.Remove != nil:
		return errors.Join(remove(ctx, t.Remove, t.Runtime), c.control.send(message{Event: done}, nil))
	case t.Root == "":
		return c.control.send(message{Ready: &ready{Layers: engine.Layers(t.Near)}}, nil)
	}
	return c.serve(ctx, cancel, t)
}

// enter makes the namespace fit for containers.
func enter() error {
	// Nothing that is mounted here is seen elsewhere.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return &mountError{"/", err}
	}
	// Of these processes, which have numbers of their own.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return &mountError{"/proc", err}
	}
	// Groups of the user's that have no number here would go on to the containers.
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("leaving groups: %w", err)
	}
	return nil
}

// remove removes state folders, of which some files belong to subordinate ids.
func remove(ctx context.Context, roots []string, runtime string) error {
	for _, root := range roots {
		if err := engine.Clean(ctx, root, runtime); err != nil {
			return err
		}
		if err := os.RemoveAll(root); err != nil {
			return fmt.Errorf("removing builder state: %w", err)
		}
	}
	return nil
}

// serve runs an engine until it shall close, or nobody is there any more.
func (c child) serve(ctx context.Context, cancel context.CancelFunc, t task) error {
	requests := make(chan message)
	go func() {
		defer close(requests)
		defer cancel() // of a start that nobody waits for
		c.hear(requests)
	}()
	e, err := engine.Start(ctx, engine.Options{
		Root: t.Root, Runtime: t.Runtime, Exclusive: t.Exclusive, Insecure: t.Insecure, MaxCache: t.MaxCache,
		Waiting:   func() { _ = c.control.send(message{Event: waiting}, nil) }, // it is told, not asked
		Discarded: func() { _ = c.control.send(message{Event: discarded}, nil) },
	})
	if err != nil {
		return err
	}
	// BuildKit makes folders in it, and not it.
	if err := os.MkdirAll(filepath.Join(t.Root, containers), 0o700); err != nil {
		return errors.Join(fmt.Errorf("preparing builder state: %w", err), e.Close())
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(c.connections) }()
	if err := c.control.send(message{Ready: &ready{Blobs: e.Blobs(), Lacks: e.Lacks()}}, nil); err != nil {
		return errors.Join(err, e.Close())
	}
	for m := range requests {
		if m.Close {
			break
		}
		c.answer(e.Distrust())
	}
	closed := make(chan error, 1)
	go func() { closed <- errors.Join(e.Close(), <-served) }()
	select {
	case err = <-closed:
	case <-time.After(lastCall): // all that runs here ends with this process
		err = errors.New("stopping the builder: it took too long")
	}
	c.answer(err)
	return nil
}

func (c child) answer(err error) {
	m := message{Event: done}
	if err != nil {
		m = message{Failed: newFault(err)}
	}
	_ = c.control.send(m, nil) // who would hear that it failed
}

// hear passes connections on, and what else is asked for.
func (c child) hear(requests chan<- message) {
	for {
		m, with, err := c.control.receive()
		if err != nil {
			return
		}
		if m.Connect && with != nil {
			c.connections.add(with)
			continue
		}
		requests <- m
		if m.Close {
			return
		}
	}
}

// handedOver is a listener for connections that come with messages.
type handedOver struct {
	waiting chan net.Conn
	closed  chan struct{}
	close   func()
}

func newHandedOver() *handedOver {
	h := &handedOver{waiting: make(chan net.Conn), closed: make(chan struct{})}
	h.close = sync.OnceFunc(func() { close(h.closed) })
	return h
}

func (h *handedOver) add(f *os.File) {
	conn, err := net.FileConn(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return // the other end sees it closed
	}
	select {
	case h.waiting <- conn:
	case <-h.closed:
		_ = conn.Close() // nothing was written to it
	}
}

// Accept implements net.Listener.
func (h *handedOver) Accept() (net.Conn, error) {
	select {
	case conn := <-h.waiting:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handedOver) Close() error { h.close(); return nil }

// Addr implements net.Listener.
func (h *handedOver) Addr() net.Addr { return &net.UnixAddr{Name: childName, Net: "unix"} }
