package buildkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	gatewaypb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"

	"github.com/mrelease/mrelease/buildkit/engine"
)

// imageStore is the name under which the builder asks its client for an image.
const imageStore = "image"

// NoProgramError says that an image names no program to run.
type NoProgramError struct{ Image v1.Hash }

// Error implements error.
func (e *NoProgramError) Error() string {
	return fmt.Sprintf("image %s has neither ENTRYPOINT nor CMD", e.Image)
}

// Evidence returns the image.
func (e *NoProgramError) Evidence() [][2]string {
	return [][2]string{{"image", e.Image.String()}, {"expected", "an ENTRYPOINT that starts the enclave's program"}, {"actual", "none"}}
}

// Run runs an image's own program (ENTRYPOINT and CMD, as its USER in its
// WORKDIR), with env added to its environment, without network, and returns its
// exit code. What the program writes to its root is thrown away. A writer is
// nil to discard.
//
// The embedded builder confines the program: of the machine's memory it gets half, and
// 512 processes; its files are in memory and take 256 MiB at most; it gains no new
// privileges, has few capabilities and, where the machine allows, users of its own.
// Another builder has limits of its own. That of time is ctx.
//
// Run is never served from a cache. When ctx ends, the program is killed and
// the error is that of ctx. An image without a program is a [*NoProgramError], one
// without its user a [*UserError].
func (b *Builder) Run(ctx context.Context, image v1.Image, env []string, stdout, stderr io.Writer) (int, error) {
	p, err := newProgram(image, env)
	if err != nil {
		return 0, err
	}
	p.start.Stdout, p.start.Stderr = output(stdout), output(stderr)
	scratch, err := os.MkdirTemp(b.scratch, "run-*")
	if err != nil {
		return 0, fmt.Errorf("making work folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	store, err := newLazyStore(filepath.Join(scratch, "blobs"), imageBlobs(image))
	if err != nil {
		return 0, err
	}
	opt := client.SolveOpt{OCIStores: map[string]content.Store{imageStore: store}}
	if err = p.build(ctx, b.client, opt); ctx.Err() != nil {
		return 0, fmt.Errorf("running image: %w", ctx.Err())
	}
	if err == nil {
		return p.exitCode, nil
	}
	if user := missingUser(err); user != nil {
		err = user
	} else if layer := oddLayer(err); layer != nil {
		err = layer
	}
	return 0, fmt.Errorf("running image: %w", err)
}

// Lacks names the limits that [Builder.Run] could not set on this machine, after a run;
// nothing for another builder than the embedded one, whose limits are its own.
func (b *Builder) Lacks() []string {
	if b.lacks == nil {
		return nil
	}
	return b.lacks()
}

// program is a run of an image's program.
type program struct {
	image    v1.Image
	start    gateway.StartRequest
	exitCode int
}

func newProgram(image v1.Image, env []string) (*program, error) {
	digest, err := image.Digest()
	if err != nil {
		return nil, fmt.Errorf("hashing manifest: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading image configuration: %w", err)
	}
	config := file.Config
	args := append(append([]string(nil), config.Entrypoint...), config.Cmd...)
	if len(args) == 0 {
		return nil, &NoProgramError{digest}
	}
	cwd := config.WorkingDir
	if cwd == "" {
		cwd = "/"
	}
	return &program{image: image, start: gateway.StartRequest{
		Args: args, Env: append(append([]string(nil), config.Env...), env...), User: config.User, Cwd: cwd,
	}}, nil
}

// killTimeout is how long a killed program may take to go.
const killTimeout = 10 * time.Second

// build makes the build in which the program runs. When ctx ends, only the
// program is told: BuildKit takes three seconds to cancel a whole build.
func (p *program) build(ctx context.Context, c *client.Client, opt client.SolveOpt) error {
	whole, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(killTimeout, abandon) })
	defer stop()
	_, err := c.Build(whole, opt, "", func(inner context.Context, c gateway.Client) (*gateway.Result, error) {
		inner, kill := context.WithCancel(inner)
		defer context.AfterFunc(ctx, kill)()
		return gateway.NewResult(), p.run(inner, c)
	}, nil)
	return err
}

// run is what the builder calls back: it mounts the image and starts the
// program in it.
func (p *program) run(ctx context.Context, c gateway.Client) error {
	root, err := mount(ctx, c, p.image, imageStore)
	if err != nil {
		return err
	}
	container, err := c.NewContainer(ctx, gateway.NewContainerRequest{
		NetMode:  pb.NetMode_NONE,
		Hostname: engine.ConfinedHost,
		Mounts:   []gateway.Mount{{Dest: "/", MountType: pb.MountType_BIND, Ref: root}},
	})
	if err != nil {
		return fmt.Errorf("making container: %w", err)
	}
	err = p.wait(ctx, container)
	// The container goes even when ctx has ended, or it would outlive this run.
	released := container.Release(context.WithoutCancel(ctx))
	if p.exitCode != 0 {
		return nil // BuildKit returns the program's failure a second time
	}
	return errors.Join(err, released)
}

// mount loads an image from one of the client's stores into the builder.
func mount(ctx context.Context, c gateway.Client, image v1.Image, store string) (gateway.Reference, error) {
	digest, err := image.Digest()
	if err != nil {
		return nil, fmt.Errorf("hashing manifest: %w", err)
	}
	state := llb.OCILayout("local/image@"+digest.String(), llb.OCIStore(c.BuildOpts().SessionID, store), llb.WithCustomName("load image"))
	definition, err := state.Marshal(ctx, llb.LinuxAmd64)
	if err != nil {
		return nil, fmt.Errorf("describing image: %w", err)
	}
	result, err := c.Solve(ctx, gateway.SolveRequest{Definition: definition.ToPB(), Evaluate: true})
	if err != nil {
		return nil, fmt.Errorf("loading image: %w", err)
	}
	return result.SingleRef()
}

// wait runs the program to its end; an exit code other than 0 is no error.
func (p *program) wait(ctx context.Context, container gateway.Container) error {
	process, err := container.Start(ctx, p.start)
	if err != nil {
		return fmt.Errorf("starting program: %w", err)
	}
	err = process.Wait()
	var exit *gatewaypb.ExitError
	if errors.As(err, &exit) && isKnown(exit) {
		p.exitCode = int(exit.ExitCode)
		return nil
	}
	return err
}

// isKnown tells a program that returned 255 from one whose end is not known: the
// code is the same, the text of the latter is that of its cause.
func isKnown(exit *gatewaypb.ExitError) bool {
	return exit.ExitCode != gatewaypb.UnknownExitStatus || strings.HasSuffix(exit.Error(), "exit code: 255")
}

// imageBlobs opens the parts of an image: its manifest, config and layers.
func imageBlobs(image v1.Image) blobs {
	return func(h v1.Hash) (io.ReadCloser, error) {
		if raw, err := rawPart(image, h); err != nil || raw != nil {
			return io.NopCloser(bytes.NewReader(raw)), err
		}
		layer, err := image.LayerByDigest(h)
		if err != nil {
			return nil, fmt.Errorf("opening blob %s: %w", h, errors.Join(err, errdefs.ErrNotFound))
		}
		return layer.Compressed()
	}
}

// rawPart returns the manifest or the config if h is its digest, else nil.
func rawPart(image v1.Image, h v1.Hash) ([]byte, error) {
	manifest, err := image.Digest()
	if err != nil || h == manifest {
		return rawOr(image.RawManifest, err)
	}
	config, err := image.ConfigName()
	if err != nil || h == config {
		return rawOr(image.RawConfigFile, err)
	}
	return nil, nil
}

func rawOr(raw func() ([]byte, error), err error) ([]byte, error) {
	if err != nil {
		return nil, fmt.Errorf("reading image: %w", err)
	}
	return raw()
}

// writer is what the gateway wants of an output.
type writer struct{ io.Writer }

// Close implements io.Closer; the caller's writer stays open.
func (writer) Close() error { return nil }

func output(w io.Writer) io.WriteCloser {
	if w == nil {
		w = io.Discard
	}
	return writer{w}
}
