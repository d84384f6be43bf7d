//go:build linux && amd64

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	runc "github.com/containerd/go-runc"
	"github.com/gofrs/flock"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/util/apicaps"
	"github.com/moby/buildkit/util/archutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

const (
	pipeBuffer = 1 << 20
	// umask is the one that images are made with. Under another one, the root
	// folder of a container would be closed to its user.
	umask = 0o022
	// stopTimeout bounds how long Close waits for calls that are under way.
	stopTimeout = 3 * time.Second
)

// Supported says whether engines run on this system.
const Supported = true

// Engine is a running BuildKit. Its methods may be called from several
// goroutines.
type Engine struct {
	state      state
	client     *client.Client
	server     *grpc.Server
	controller *control.Controller
	layers     io.Closer
	blobs      string
	lock       *flock.Flock
	policy     []client.PruneInfo
	stopping   chan struct{}
	served     chan error
	close      func() error
	distrusted atomic.Bool
}

// Start takes the state folder, removes what a killed run left in it, and
// brings the engine up.
//
// While another process holds the folder, Start waits until ctx ends. Its error is a
// [*ForeignError] when the folder, or something in it, is not ours: it belongs to
// another user, others may write to it, or it is a link. It fails
// with a wrapped error when Root is not absolute, the folder cannot be locked
// or cleaned, or BuildKit refuses the runtime.
func Start(ctx context.Context, opts Options) (_ *Engine, err error) {
	Quiet(opts.Log)
	if apicaps.ExportedProduct == "" { // builds of another engine may read it now
		apicaps.ExportedProduct = "buildkit"
	}
	syscall.Umask(umask)
	guardRuntime()
	state, err := openState(opts.Root)
	if err != nil {
		return nil, err
	}
	lock, err := acquire(ctx, state.path, opts.Waiting)
	if err != nil {
		return nil, errors.Join(err, state.dir.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close(), state.dir.Close())
		}
	}()
	if err := state.checkAll(); err != nil {
		return nil, err
	}
	works := checkRuntime(ctx, state, opts.Runtime)
	if err := errors.Join(clean(ctx, state, opts.Runtime), cleanImporting(ctx, state, opts.Runtime)); err != nil {
		return nil, fmt.Errorf("cleaning builder state %q: %w", state.path, err)
	}
	if opts.Exclusive {
		if err := keepTemporaries(state); err != nil {
			return nil, err
		}
	}
	discarded, err := beginUnsynced(state)
	if err != nil {
		return nil, err
	}
	if discarded && opts.Discarded != nil {
		opts.Discarded()
	}
	// The first step asks for this, and waits for the start of ten small programs.
	go archutil.SupportedPlatforms(false)
	e := &Engine{state: state, lock: lock, stopping: make(chan struct{}), served: make(chan error, 1)}
	e.close = sync.OnceValue(e.shutDown)
	if err := e.assemble(ctx, state.path, opts); err != nil {
		return nil, fmt.Errorf("starting builder in %q: %w", state.path, err)
	}
	if err := <-works; err != nil {
		return nil, errors.Join(fmt.Errorf("starting runtime %q: %w", opts.Runtime, err), e.Close())
	}
	return e, nil
}

// checkedFile holds which runtime worked last.
const checkedFile = "runtime"

// checkRuntime runs the runtime while other things start: one that is broken
// would fail a step as if it were the step's own program. That takes as long as
// all the rest, so it is done once for each runtime that comes.
func checkRuntime(ctx context.Context, s state, runtime string) <-chan error {
	works := make(chan error, 1)
	go func() { works <- checkNewRuntime(ctx, s, runtime) }()
	return works
}

func checkNewRuntime(ctx context.Context, s state, runtime string) error {
	info, err := os.Stat(runtime)
	if err != nil {
		return err
	}
	known := fmt.Sprintln(runtime, info.Size(), info.ModTime().UnixNano())
	if checked, err := s.dir.ReadFile(checkedFile); err == nil && string(checked) == known {
		return nil
	}
	if _, err := (&runc.Runc{Command: runtime}).Version(ctx); err != nil {
		return err
	}
	return s.write(checkedFile, []byte(known))
}

// Client returns the client of this engine. It is closed with the engine.
func (e *Engine) Client() *client.Client { return e.client }

// Blobs returns the folder of the engine's content store: each blob is the file
// ALGORITHM/HEX in it, as in an OCI layout's folder of this name.
func (e *Engine) Blobs() string { return e.blobs }

// Serve offers the engine on a listener too, so that other BuildKit clients
// can use it. It blocks until the listener or the engine is closed.
func (e *Engine) Serve(l net.Listener) error {
	if err := e.server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serving builder on %s: %w", l.Addr(), err)
	}
	return nil
}

// Close collects garbage, stops the engine and gives the state folder free.
// Further calls return the first call's result.
func (e *Engine) Close() error { return e.close() }

// assemble builds the controller, serves it on an in-memory pipe and connects
// the client to the other end.
func (e *Engine) assemble(ctx context.Context, root string, opts Options) error {
	policy, err := gcPolicy(root, opts.MaxCache)
	if err != nil {
		return err
	}
	e.policy = policy
	if e.controller, err = e.newController(ctx, root, opts); err != nil {
		return err
	}
	e.server = newServer()
	e.controller.Register(e.server)
	pipe := bufconn.Listen(pipeBuffer)
	go func() { e.served <- e.server.Serve(pipe) }()
	e.client, err = client.New(ctx, "passthrough:///engine", client.WithContextDialer(
		func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	if err != nil {
		e.server.Stop()
		return errors.Join(err, <-e.served, e.controller.Close(), e.layers.Close())
	}
	return nil
}

func (e *Engine) shutDown() error {
	collected := e.collect()
	close(e.stopping)
	disconnected := e.client.Close()
	e.stopServer()
	return errors.Join(collected, disconnected, <-e.served, e.controller.Close(), e.layers.Close(), endUnsynced(e.state, e.distrusted.Load()), e.lock.Close(), e.state.dir.Close())
}

// stopServer lets calls under way finish, but not for ever.
func (e *Engine) stopServer() {
	timer := time.AfterFunc(stopTimeout, e.server.Stop)
	defer timer.Stop()
	e.server.GracefulStop()
}
