package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"

	"github.com/moby/buildkit/client"

	"github.com/mrelease/mrelease/buildkit/engine"
	"github.com/mrelease/mrelease/buildkit/rootless"
)

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
