package main

import (
	"cmp"
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/buildkit/pool"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/release/several"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

func (a *app) buildCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "build",
		Short: "Build the image into an OCI layout",
		Long: `build builds the Dockerfile into an OCI layout, seals the image when enclave.seal
asks for it, and prints the digest of the image's manifest. The same commit gives
the same digest on every machine, as far as the Dockerfile's own steps do.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.runBuild(c.Context(), output)
		},
	}
	a.addBuildFlags(c)
	a.noCacheFlag(c)
	c.Flags().StringVarP(&output, "output", "o", "", "folder of the OCI layout (default dist/image)")
	return c
}

// buildAnswer is the answer of mrelease build --json.
type buildAnswer struct {
	Schema    string              `json:"schema"`
	Digest    v1.Hash             `json:"digest"`
	Config    v1.Hash             `json:"config"`
	Inputs    v1.Hash             `json:"inputs"`
	Unsealed  v1.Hash             `json:"unsealed"` // config digest before the seal; equals config when mrelease does not seal
	Layout    string              `json:"layout"`
	Materials []buildkit.Material `json:"materials,omitempty"`
}

func (a *app) runBuild(ctx context.Context, output string) (err error) {
	all, err := settings.LoadAll(a.sources(), settings.Purpose{Build: true})
	if err != nil {
		return err
	}
	if len(all) > 1 {
		return a.together().BuildAll(ctx, all, output)
	}
	answer, err := a.buildOne(ctx, all[0], cmp.Or(output, all[0].Apps.Output("image")), several.Work{Builder: a.opener(all[0]), Importer: a.importer(all[0])})
	if err != nil {
		return err
	}
	if a.json {
		return printJSON(a.stdout, answer)
	}
	_, err = fmt.Fprintln(a.stdout, answer.Digest)
	return err
}

func (a *app) buildOne(ctx context.Context, cfg settings.Settings, output string, w several.Work) (answer buildAnswer, err error) {
	letGo, err := holdLayout(cfg, output)
	if err != nil {
		return answer, err
	}
	defer letGo()
	src, err := a.readSource(ctx, source.Options{Settings: cfg})
	if err != nil {
		return answer, err
	}
	if src.Source, err = src.Read(ctx); err != nil {
		return answer, err
	}
	inputs, err := src.Digest(ctx)
	if err != nil {
		return answer, err
	}
	builder, err := w.Builder(ctx)
	if err != nil {
		return answer, err
	}
	defer a.closeBuilder(builder)
	made, err := a.maker(builder, cfg).WithCache(src.Version, w.Importer).Make(ctx, src, output)
	if err != nil {
		return answer, err
	}
	digest, noDigest := made.Image.Digest()
	config, noConfig := made.Image.ConfigName()
	unsealed, err := made.Unsealed.ConfigName()
	if err = cmp.Or(noDigest, noConfig, err); err != nil {
		return answer, fmt.Errorf("reading digests: %w", err)
	}
	return buildAnswer{"mrelease.build/v1", digest, config, inputs, unsealed, output, made.Materials}, nil
}

// holdLayout keeps other runs from the layout that a release reads until its end; a folder
// that was chosen is whoever's chose it.
func holdLayout(cfg settings.Settings, output string) (letGo func(), err error) {
	if output == cfg.Apps.Output("image") {
		return release.HoldOutput(output)
	}
	return func() {}, release.TryOutput(output)
}

func (a *app) maker(b *buildkit.Builder, s settings.Settings) release.Maker {
	return release.Maker{Builder: b, Settings: s, Keys: a.ring(s), Teller: a.story, Registry: a.registry()}
}

// opener returns what starts the builder of an app, of those that are asked for.
func (a *app) opener(of settings.Settings) func(context.Context) (*buildkit.Builder, error) {
	return func(ctx context.Context) (*buildkit.Builder, error) {
		opts, err := a.builderOptions(of)
		if err != nil {
			return nil, err
		}
		return pool.Alone(ctx, pool.Spread{Apps: of.Apps.Names, Options: opts}, cmp.Or(of.Apps.Chosen, of.AppName()), a.story.Note)
	}
}

// importer returns what starts the builder that takes steps of others.
func (a *app) importer(of settings.Settings) func(context.Context) (*buildkit.Builder, error) {
	return func(ctx context.Context) (*buildkit.Builder, error) {
		opts, err := a.builderOptions(of)
		if err != nil {
			return nil, err
		}
		return buildkit.Open(ctx, opts.Importer())
	}
}

// builders returns what has the builders of several apps.
func (a *app) builders(of settings.Settings) func(builds, users int) (*pool.Pool, error) {
	return a.pool(of, func(o buildkit.Options) buildkit.Options { return o })
}

// importers returns what has the builder of several apps that takes steps of others.
func (a *app) importers(of settings.Settings) func(builds, users int) (*pool.Pool, error) {
	return a.pool(of, buildkit.Options.Importer)
}

func (a *app) pool(of settings.Settings, as func(buildkit.Options) buildkit.Options) func(builds, users int) (*pool.Pool, error) {
	return func(builds, users int) (*pool.Pool, error) {
		opts, err := a.builderOptions(of)
		if err != nil {
			return nil, err
		}
		return pool.New(pool.Spread{Apps: of.Apps.Names, Options: as(opts)}, builds, users), nil
	}
}

// openBuilderIfAny returns nil, and why, when there is no builder.
func (a *app) openBuilderIfAny(ctx context.Context, of settings.Settings) (b *buildkit.Builder, missing, err error) {
	if b, err = a.opener(of)(ctx); usage.Is[*buildkit.NoBuilderError](err) {
		return nil, err, nil
	}
	return b, nil, err
}

// builderOptions are those of all apps that have their builders in common.
func (a *app) builderOptions(of settings.Settings) (buildkit.Options, error) {
	state, err := buildkit.StateFolder(a.build.state, a.getenv)
	if err != nil {
		return buildkit.Options{}, err
	}
	return buildkit.Options{
		Builder:      a.build.builder,
		BuildKitHost: a.getenv("BUILDKIT_HOST"),
		Builders:     of.Builders.Remotes(),
		Withhold:     a.keychain().Withhold,
		DockerHost:   a.getenv("DOCKER_HOST"),
		Path:         a.getenv("PATH"),
		Getenv:       a.getenv,
		State:        state,
		Exclusive:    true,
		Progress:     a.progress(),
		Waiting:      func() { a.story.note("waiting for another build that uses %s", state) },
		Discarded: func() {
			a.story.note("the machine stopped during a build, or the cache was changed: the build cache is begun anew")
		},
	}, nil
}

func (a *app) closeBuilder(b *buildkit.Builder) {
	if b != nil {
		if err := b.Close(); err != nil {
			a.story.note("stopping the builder: %v", err)
		}
	}
}

// progress is how builds are shown. Unless it is said, a terminal shows what runs, a CI
// system folds the log, and else a note is made now and then.
func (a *app) progress() buildkit.Progress {
	p := buildkit.Progress{Writer: a.story.w, Mode: a.build.progress}
	inCI := a.page.Run.System != ""
	switch p.Mode {
	case "plain", "quiet":
	case "tty": // which moves the cursor; what it is given to show can be shown
		p.Writer = a.terminal
		if a.story.live != nil {
			a.story.live.Hide()
		}
	default:
		p.Mode, p.Log = "plain", !inCI
		if a.story.live != nil {
			p.Running = a.story.live.Detail
		} else if !inCI {
			p.Running = a.story.running()
		}
	}
	return p
}

// checkBuilder looks at what the command line and the environment say of the builder.
func (a *app) checkBuilder(c *cobra.Command) error {
	if c.Flags().Lookup("builder") == nil {
		return nil
	}
	opts, err := a.builderOptions(settings.Settings{})
	return cmp.Or(err, opts.Check())
}
