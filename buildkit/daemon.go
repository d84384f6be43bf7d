package buildkit

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/moby/buildkit/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/mrelease/mrelease/buildkit/engine"
	"github.com/mrelease/mrelease/buildkit/reach"
)

// answerTimeout bounds how long a daemon may take to say that it is there.
const answerTimeout = 10 * time.Second

// openFirst connects to the first of the daemons that answers.
func openFirst(ctx context.Context, opts Options) (*Builder, error) {
	var all NoBuilderError
	for _, r := range opts.Remotes() {
		b, err := openDaemon(ctx, opts, r)
		none, ok := errors.AsType[*NoBuilderError](err)
		if !ok {
			return b, err
		}
		all.Attempts, all.Command = append(all.Attempts, none.Attempts...), cmp.Or(all.Command, none.Command)
	}
	return nil, &all
}

// silence is how long a daemon may say nothing before it is asked whether it is there, and
// how long it may then take. A shorter one is against the rules of its gRPC.
const silence, silenceEnds = 6 * time.Minute, 30 * time.Second

// openDaemon connects to a buildkitd.
func openDaemon(ctx context.Context, opts Options, to Remote) (*Builder, error) {
	check := to.command()
	c, err := client.New(ctx, to.Address, to.clientOptions(reach.Runner{Path: opts.Path, Withhold: opts.Withhold})...)
	if err != nil {
		return nil, unusable(to.Address, err.Error(), check)
	}
	b, err := newRemote(to.Address, c, opts)
	if err != nil {
		return nil, err
	}
	workers, err := b.workers(ctx)
	if ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), b.Close())
	}
	if err != nil {
		return nil, errors.Join(unusable(to.Address, to.reason(err), check), b.Close())
	}
	if err := checkWorkers(to.Address, workers); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// clientOptions are what BuildKit's client is told of a daemon, beside its address.
func (r Remote) clientOptions(programs reach.Runner) []client.ClientOpt {
	opts := []client.ClientOpt{client.WithGRPCDialOption(grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: silence, Timeout: silenceEnds}))}
	if u, err := url.Parse(r.Address); err == nil && !isLocal(u) {
		opts = append(opts, client.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			command, err := reach.Command(u)
			if err != nil {
				return nil, err
			}
			return programs.Connect(command)
		}))
	}
	if r.TLS.CA != "" {
		opts = append(opts, client.WithServerConfig("", r.TLS.CA))
	}
	if r.TLS.Key != "" {
		opts = append(opts, client.WithCredentials(r.TLS.Cert, r.TLS.Key))
	}
	return opts
}

// reason is why a daemon does not answer. One that refuses a certificate says so after the
// handshake, and the connection may be gone before that is read.
func (r Remote) reason(err error) string {
	text := err.Error()
	if r.TLS.CA != "" && (strings.Contains(text, syscall.EPIPE.Error()) || strings.Contains(text, syscall.ECONNRESET.Error())) {
		text += " (as a daemon does that refuses the client's certificate, or asks for one)"
	}
	return text
}

// command is what a user can run to see what is wrong with a daemon.
func (r Remote) command() string {
	text := "buildctl --addr " + r.Address
	for _, f := range [][2]string{{"--tlscacert", r.TLS.CA}, {"--tlscert", r.TLS.Cert}, {"--tlskey", r.TLS.Key}} {
		if f[1] != "" {
			text += " " + f[0] + " " + f[1]
		}
	}
	return text + " debug workers"
}

func newRemote(name string, c *client.Client, opts Options, closers ...io.Closer) (*Builder, error) {
	engine.Quiet(nil)
	scratch, err := os.MkdirTemp("", "mrelease-*")
	if err != nil {
		return nil, errors.Join(unusable(name, "no temporary folder can be made: "+err.Error(), "make the folder that TMPDIR names, or name another that you may write to"), c.Close())
	}
	b := &Builder{name: name, client: c, progress: opts.Progress, scratch: scratch, layers: layersIn(opts.State)}
	b.close = func() error {
		errs := []error{b.collectLayers(), c.Close()}
		for _, closer := range closers {
			errs = append(errs, closer.Close())
		}
		return errors.Join(append(errs, os.RemoveAll(scratch))...)
	}
	return b, nil
}

// workers asks the builder who does its work, which shows that it is there.
func (b *Builder) workers(ctx context.Context) ([]*client.WorkerInfo, error) {
	limited, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	workers, err := b.client.ListWorkers(limited)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return workers, err
}
