package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"

	"github.com/mrelease/mrelease/buildkit/engine"
	"github.com/mrelease/mrelease/buildkit/reach"
	"github.com/mrelease/mrelease/buildkit/rootless"
)

// The builders that have a name; any other is the address of a daemon.
const (
	Embedded = "embedded"
	Docker   = "docker"
)

// answerTimeout bounds how long a daemon may take to say that it is there.
const answerTimeout = 10 * time.Second

// Options say which builder to use.
type Options struct {
	// Builder is Embedded, Docker, or the address of a buildkitd (see AddressForm), or
	// several, joined by commas. Empty takes the first of: the daemons at BuildKitHost,
	// those of Builders, the embedded one, Docker.
	Builder string
	// BuildKitHost is the address that Builder defaults to, or several.
	BuildKitHost string
	// Builders are daemons that are known, with how they are reached.
	Builders []Remote
	// Withhold names variables of the environment that the programs do not get that
	// reach a daemon (ssh, docker, kubectl).
	Withhold []string
	// DockerHost is the address of the Docker engine; empty means its socket.
	DockerHost string
	// Path is the list of folders that runc is looked for in, newuidmap, and what reaches
	// a daemon; for the first two the folders for system programs are searched too.
	Path string
	// Getenv, when set, lets a user who is not root use the embedded builder, in a
	// process of its own ([rootless.Launcher]): it looks up how that reaches the
	// network. The program's main function must begin with [IsChild].
	Getenv func(string) string
	// State is the absolute path of the folder that the embedded builder keeps
	// its cache in, and cannot do without, and finished layers are kept in for any builder; without it
	// another builder makes them anew for each build.
	State string
	// Exclusive says that this process uses no other builder: the temporary
	// files of all of it then lie in State, where the next run removes what a
	// kill left of them.
	Exclusive bool
	// Progress is how builds are shown.
	Progress Progress
	// Waiting, when set, is called if another process uses State, before Open
	// waits for it.
	Waiting func()
	// Discarded, when set, is called if the cache of the embedded builder was
	// thrown away, because the machine stopped during a build, or its layers had been
	// changed.
	Discarded func()
}

// Builder is a BuildKit that is ready to build and to run images.
type Builder struct {
	name     string
	client   *client.Client
	progress Progress
	scratch  string // folder for files that a call needs
	blobs    string // folder of its content store; "" when that is out of reach
	layers   string // folder of finished layers; "" for none
	close    func() error
	// distrustCache has the embedded builder's cache thrown away by the next start.
	distrustCache func() error
	lacks         func() []string // what the containers of Run do without; nil: not known
	// successor returns the builder that goes on when this one is lost; nil: there is none.
	successor func(ctx context.Context, lost error) (*Builder, error)
}

// NoBuilderError says that no builder can be used.
type NoBuilderError struct {
	Attempts []Attempt
	// Command is what a user can run to get one.
	Command string
}

// Attempt is a builder that was tried, and why it cannot be used.
type Attempt struct{ Builder, Problem string }

// Error implements error.
func (e *NoBuilderError) Error() string {
	if len(e.Attempts) == 1 {
		return fmt.Sprintf("the builder %s cannot be used: %s", e.Attempts[0].Builder, e.Attempts[0].Problem)
	}
	return "no builder can be used"
}

// Remedy is the command that brings one.
func (e *NoBuilderError) Remedy() string { return e.Command }

// Evidence returns what was tried.
func (e *NoBuilderError) Evidence() [][2]string {
	var facts [][2]string
	for _, a := range e.Attempts {
		facts = append(facts, [2]string{a.Builder, a.Problem})
	}
	return facts
}

// StateError says that the state folder, or something in it, is not ours.
type StateError = engine.ForeignError

func unusable(builder, problem, command string) *NoBuilderError {
	return &NoBuilderError{[]Attempt{{builder, problem}}, command}
}

// Open finds the builder, starts it if it is the embedded one, and makes sure
// that it answers. Its error is a [*NoBuilderError] when there is none: a
// builder that was named, in whatever way, is not replaced by another one. Of several
// daemons it is the first that answers; [github.com/mrelease/mrelease/buildkit/pool] spreads
// work on them. A state folder in which somebody else has a hand is a [*StateError], and
// a name of no builder an [*AddressError].
func Open(ctx context.Context, opts Options) (*Builder, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	switch {
	case opts.Builder == Embedded:
		return openEmbedded(ctx, opts)
	case opts.Builder == Docker:
		return openDocker(ctx, opts)
	case len(opts.Remotes()) > 0:
		return openFirst(ctx, opts)
	}
	b, err := openEmbedded(ctx, opts)
	var none, alsoNone *NoBuilderError
	if !errors.As(err, &none) {
		return b, err
	}
	if b, err = openDocker(ctx, opts); errors.As(err, &alsoNone) {
		return nil, &NoBuilderError{append(none.Attempts, alsoNone.Attempts...), none.Command}
	}
	return b, err
}

// Name says which builder it is, as in Options.Builder.
func (b *Builder) Name() string { return b.name }

// Close stops the builder if it is the embedded one, and disconnects from it.
func (b *Builder) Close() error { return b.close() }

// Lend returns the builder for one of several who use it at the same time: it shows its
// builds in a way of its own, and Close gives it back.
func (b *Builder) Lend(p Progress, back func() error) *Builder {
	lent := *b
	lent.progress, lent.close = p, back
	return &lent
}

// FollowedBy has another builder go on when this one is lost: the one that next returns,
// whose error is the end of the work.
func (b *Builder) FollowedBy(next func(ctx context.Context, lost error) (*Builder, error)) *Builder {
	b.successor = next
	return b
}

// Again reports whether work that has failed is to be done again: the builder was lost in
// the middle of it, and its successor has now its place. Else it returns the error that the
// work ends with.
func (b *Builder) Again(ctx context.Context, failed error) (bool, error) {
	if failed == nil || b.successor == nil || ctx.Err() != nil || !b.isLost(ctx, failed) {
		return false, failed
	}
	next, err := b.successor(ctx, failed)
	if err != nil {
		return false, err
	}
	*b = *next
	return true, nil
}

// isLost finds out whether work failed because the builder went away: it said so, by the
// codes of a connection that broke and of a daemon that ends, or it does not answer now.
func (b *Builder) isLost(ctx context.Context, failed error) bool {
	if build, ok := errors.AsType[*BuildError](failed); ok && build.ExitCode != 0 {
		return false // a step ended by itself
	}
	switch grpcerrors.Code(failed) {
	case codes.Unavailable, codes.Canceled:
		return true
	}
	_, err := b.workers(ctx)
	return err != nil && ctx.Err() == nil
}

// openEmbedded starts BuildKit: in this process, or, for who is not root, in one of
// its own.
func openEmbedded(ctx context.Context, opts Options) (*Builder, error) {
	runtime, err := checkEmbedded(opts)
	if err != nil {
		return nil, err
	}
	with := engine.Options{Root: opts.State, Runtime: runtime, Exclusive: opts.Exclusive, Waiting: opts.Waiting, Discarded: opts.Discarded}
	b := &Builder{name: Embedded, progress: opts.Progress, scratch: filepath.Join(opts.State, "scratch"), layers: layersIn(opts.State)}
	if rootless.Privileged() {
		err = b.start(ctx, with)
	} else {
		err = b.startRootless(ctx, opts.launcher(), with)
	}
	if err != nil {
		return nil, err
	}
	// The engine holds the state folder, so what lies there is a killed run's.
	if err := errors.Join(os.RemoveAll(b.scratch), os.Mkdir(b.scratch, 0o700)); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing builder state: %w", err), b.Close())
	}
	return b, nil
}

// start starts an engine in this process.
func (b *Builder) start(ctx context.Context, opts engine.Options) error {
	e, err := engine.Start(ctx, opts)
	if err != nil {
		return err
	}
	b.client, b.blobs, b.distrustCache, b.lacks = e.Client(), e.Blobs(), e.Distrust, e.Lacks
	b.close = func() error { return errors.Join(b.collectLayers(), e.Close(), os.RemoveAll(b.scratch)) }
	return nil
}

// startRootless starts an engine in a process of its own.
func (b *Builder) startRootless(ctx context.Context, l rootless.Launcher, opts engine.Options) error {
	engine.Quiet(nil)
	e, err := l.Start(ctx, opts)
	if err != nil {
		return unprivileged(err)
	}
	if opts.Exclusive {
		err = engine.UseTemporaries(opts.Root)
	}
	if err == nil {
		b.client, err = client.New(ctx, "passthrough:///engine", client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return e.Dial(ctx) }))
	}
	if err != nil {
		return errors.Join(err, e.Close())
	}
	b.blobs, b.distrustCache, b.lacks = e.Blobs(), e.Distrust, e.Lacks
	b.close = func() error {
		return errors.Join(b.collectLayers(), b.client.Close(), e.Close(), os.RemoveAll(b.scratch))
	}
	return nil
}

func (o Options) launcher() rootless.Launcher {
	return rootless.Launcher{Path: o.Path, Getenv: o.Getenv}
}

// unprivileged makes a [*NoBuilderError] of what keeps this user from a builder.
func unprivileged(err error) error {
	var none *rootless.Error
	if !errors.As(err, &none) {
		return err
	}
	return unusable(Embedded, fmt.Sprintf("user %d is not root here, and %s", os.Geteuid(), none.Problem), none.Remedy+"; or be root: sudo -E mrelease …")
}

// IsChild reports whether a program with these arguments is the embedded builder of a
// user who is not root: its main function then does nothing but end with [Serve].
func IsChild(args []string) bool { return rootless.IsChild(args) }

// Serve is the main function of the embedded builder's process; it returns the exit
// code.
func Serve() int { return rootless.Serve() }

// newState is what brings a folder for the cache.
const newState = "export MRELEASE_STATE=/var/cache/mrelease (or another folder that only you can write to)"

// StateFolder returns what State is to be: the folder that was asked for, or the one in
// the user's cache folder, which an environment names; empty when it names none.
func StateFolder(asked string, getenv func(string) string) (string, error) {
	if asked != "" {
		return filepath.Abs(asked)
	}
	cache := cmp.Or(getenv("XDG_CACHE_HOME"), getenv("LOCALAPPDATA")) // the latter on Windows
	if home := getenv("HOME"); cache == "" && home != "" {
		cache = filepath.Join(home, ".cache")
	}
	if cache == "" {
		return "", nil
	}
	return filepath.Join(cache, "mrelease", "buildkit"), nil
}

// layersIn is where a state folder has finished layers.
func layersIn(state string) string {
	if state == "" {
		return ""
	}
	return filepath.Join(state, "layers")
}

// collectLayers keeps the cache of finished layers within its limit.
func (b *Builder) collectLayers() error {
	if _, err := os.Stat(b.layers); err != nil {
		return nil // nothing was built
	}
	return layerCache{dir: b.layers}.collect(layerCacheLimit)
}

// checkEmbedded returns the path of runc if the embedded builder can be started.
func checkEmbedded(opts Options) (runtime string, err error) {
	if !engine.Supported {
		return "", notEmbedded(goruntime.GOOS, goruntime.GOARCH)
	}
	if runtime = findRuntime(opts.Path); runtime == "" {
		return "", unusable(Embedded, "it needs runc, which is not installed", "apt-get install runc (with sudo when you are not root)")
	}
	if opts.State == "" {
		return "", unusable(Embedded, "it has no folder for its cache: neither --state, MRELEASE_STATE, XDG_CACHE_HOME nor HOME says where", newState)
	}
	if !rootless.Privileged() && opts.Getenv == nil {
		return "", unusable(Embedded, "it needs root", "sudo -E mrelease …")
	}
	return runtime, nil
}

// findRuntime returns the path of runc, or "". Debian keeps it where the search
// paths of users do not lead.
func findRuntime(path string) string {
	dirs := append(filepath.SplitList(path), "/usr/local/sbin", "/usr/sbin", "/sbin")
	for _, name := range []string{"buildkit-runc", "runc"} {
		for _, dir := range dirs {
			file := filepath.Join(dir, name)
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return file
			}
		}
	}
	return ""
}

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
