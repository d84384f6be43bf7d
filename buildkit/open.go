package buildkit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/moby/buildkit/client"

	"github.com/mrelease/mrelease/buildkit/engine"
)

// The builders that have a name; any other is the address of a daemon.
const (
	Embedded = "embedded"
	Docker   = "docker"
)

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

// Importer returns the options of the embedded builder that takes steps which others built
// (see [Builder.TakeFrom]). Its state is one of its own below State: what it took, it knows by
// what its maker says that it is, and no other build may be made of that.
func (o Options) Importer() Options {
	o.Builder, o.BuildKitHost, o.Builders = Embedded, "", nil
	if o.State != "" {
		o.State = filepath.Join(o.State, engine.Importing)
	}
	o.Exclusive = false // temporary files lie where the other builder, or nobody, has put them
	return o
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
	steps    *Steps // that others built and builds may take; nil: none
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
