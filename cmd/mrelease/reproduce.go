package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

func (a *app) reproduceCommand() *cobra.Command {
	r := reproducer{app: a}
	c := &cobra.Command{
		Use:   "reproduce",
		Short: "Show that the source gives the same image and measurement again",
		Long: `reproduce builds the source twice, each time from nothing: in a state folder of
its own, from a copy of the source with other paths, times, modes, owners and
order of files, in another second. It compares what came out, part by part, and
says of a difference which file it is in, and for known causes what to do. The
machine's clock is not moved: what a step makes of the date of the day is seen
with --against only, which builds once and compares with a published image.

Each part is equal, random by design (the key of an fspf seal), or different.
An image that comes out the same bit for bit is measured once.`,
		Example: "  mrelease reproduce\n  mrelease reproduce --version 1.0.0 --against ghcr.io/acme/hello@sha256:…",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return r.run(c.Context())
		},
	}
	a.addBuildFlags(c)
	c.Flags().StringVar(&r.against, "against", "", "published image to compare one rebuild with: IMAGE@DIGEST, or the folder of an OCI layout")
	c.Flags().IntVar(&r.limit, "lines", 20, "differences of a layer to show")
	return c
}

// reproducer is a reproduction on its way.
type reproducer struct {
	*app
	against string
	limit   int // of the lines for each layer

	cfg    settings.Settings
	source source.Source
	work   string
}

// built is one of the two things that are compared.
type built struct {
	image     v1.Image
	unsealed  *v1.Hash // config digest before mrelease sealed; nil: it does not seal
	mrenclave measure.MRENCLAVE
	value     string // what the chain stores
}

func (r reproducer) run(ctx context.Context) (err error) {
	if r.cfg, err = r.load(settings.Purpose{Build: true}); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	if r.source, err = r.readSource(source.Options{Settings: r.cfg}); err != nil {
		return err
	}
	opts, err := r.builderOptions()
	if err != nil {
		return err
	}
	work, remove, err := buildkit.ColdFolder(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	r.work = work
	a, b, err := r.both(ctx)
	if err != nil {
		return err
	}
	if err := r.noteAccepted(a); err != nil {
		return err
	}
	return r.judge(ctx, a, b)
}

// check refuses a builder that would take the second build from the first one's
// cache.
func (r reproducer) check() error {
	if r.against == "" && r.build.builder != "" && r.build.builder != buildkit.Embedded {
		return &usageError{errors.New("two builds from nothing need the embedded builder: a daemon keeps its state between them; --against IMAGE@DIGEST compares one"), "mrelease reproduce"}
	}
	if r.against == "" || isFolder(r.against) {
		return nil
	}
	if _, err := name.NewDigest(r.against); err != nil {
		return &usageError{fmt.Errorf("--against wants IMAGE@sha256:…, got %q: a tag can be moved", r.against), "mrelease reproduce"}
	}
	return nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// rebuild says how one build is made differently.
type rebuild struct {
	name  string
	path  string
	shift buildkit.Shift
}

// rebuilds are the two; times lie before and after any epoch.
func rebuilds() [2]rebuild {
	second := rebuild{"second", "b/deeper/down", buildkit.Shift{Time: time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC), Umask: 0o077, Reverse: true, Owner: os.Geteuid()}}
	if os.Geteuid() == 0 {
		second.shift.Owner = 1000
	}
	first := rebuild{"first", "a", buildkit.Shift{Time: time.Date(2038, 1, 1, 0, 0, 0, 0, time.UTC), Owner: os.Geteuid()}}
	return [2]rebuild{first, second}
}

// both makes the two things to compare. The second build starts in another
// second than the first, so that a time that a step writes down is another one.
func (r reproducer) both(ctx context.Context) (a, b built, err error) {
	next := time.Now().Truncate(time.Second).Add(time.Second)
	if r.against != "" {
		return r.rebuildAgainst(ctx)
	}
	plans := rebuilds()
	if a, err = r.rebuild(ctx, plans[0], r.measured); err != nil {
		return a, b, err
	}
	select {
	case <-time.After(time.Until(next)):
	case <-ctx.Done():
		return a, b, ctx.Err()
	}
	b, err = r.rebuild(ctx, plans[1], func(ctx context.Context, builder *buildkit.Builder, image v1.Image, spec measure.Spec) (built, error) {
		if sameImage(a.image, image) {
			return a, nil // measuring takes a tenth of a build, and here it would measure the same bits
		}
		return r.measured(ctx, builder, image, spec)
	})
	return a, b, err
}

func sameImage(a, b v1.Image) bool {
	x, errX := a.Digest()
	y, errY := b.Digest()
	return errX == nil && errY == nil && x == y
}

// rebuildAgainst builds once and measures the published image beside it.
func (r reproducer) rebuildAgainst(ctx context.Context) (a, b built, err error) {
	published, err := release.OpenImage(ctx, r.against)
	if err != nil {
		return a, b, err
	}
	a, err = r.rebuild(ctx, rebuilds()[1], func(ctx context.Context, builder *buildkit.Builder, image v1.Image, spec measure.Spec) (built, error) {
		if b, err = r.published(ctx, builder, published); err != nil || sameImage(image, published) {
			return b, err
		}
		return r.measured(ctx, builder, image, spec)
	})
	return a, b, err
}

// measurer measures an image with the builder that built it.
type measurer func(context.Context, *buildkit.Builder, v1.Image, measure.Spec) (built, error)

// rebuild copies the source, builds it from nothing and has the result measured.
func (r reproducer) rebuild(ctx context.Context, plan rebuild, measured measurer) (out built, err error) {
	dir := filepath.Join(r.work, filepath.FromSlash(plan.path))
	src := r.source
	if src.Source, err = r.source.Copy(ctx, filepath.Join(dir, "source"), plan.shift); err != nil {
		return out, err
	}
	src.NoCache = true
	r.story.note("%s build: files of %s, umask %03o, owner %d", plan.name, plan.shift.Time.Format(time.DateOnly), plan.shift.Umask, plan.shift.Owner)
	builder, err := r.openCold(ctx, filepath.Join(r.work, "state-"+plan.name))
	if err != nil {
		return out, err
	}
	defer r.closeBuilder(builder)
	m, err := r.maker(builder, r.cfg).Make(ctx, src, filepath.Join(dir, "image"))
	if err != nil {
		return out, err
	}
	spec := r.cfg.Enclave.Spec()
	spec.Log = m.Log
	return measured(ctx, builder, m.Image, spec)
}

// openCold starts a builder that has built nothing before. BUILDKIT_HOST does
// not count unless it is asked for: its state is warm.
func (r reproducer) openCold(ctx context.Context, state string) (*buildkit.Builder, error) {
	opts, err := r.builderOptions()
	if err != nil {
		return nil, err
	}
	opts.State, opts.Builder = state, cmp.Or(opts.Builder, buildkit.Embedded)
	opts.Exclusive = false // there are two, one after the other
	return buildkit.Open(ctx, opts)
}

// published measures the image to compare with.
func (r reproducer) published(ctx context.Context, b *buildkit.Builder, image v1.Image) (built, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return built{}, fmt.Errorf("reading manifest: %w", err)
	}
	if theirs := manifest.Annotations[registry.InputsAnnotation]; theirs != "" {
		ours, err := r.source.Digest(ctx)
		if err == nil && ours.String() != theirs {
			r.story.note("the published image was made from other inputs (%s) than these (%s): check out its commit and give its --version", theirs, ours)
		}
	}
	spec := r.cfg.Enclave.Spec()
	spec.Claim = manifest.Annotations[registry.FingerprintAnnotation]
	return r.measured(ctx, b, image, spec)
}

func (r reproducer) measured(ctx context.Context, b *buildkit.Builder, image v1.Image, spec measure.Spec) (built, error) {
	enclave, err := r.maker(b, r.cfg).Measure(ctx, image, spec)
	if err != nil {
		return built{}, err
	}
	facts, err := release.ImageFacts(image)
	return built{image, facts.Unsealed, enclave.MRENCLAVE, enclave.Value}, err
}

// noteAccepted says whether the measurement is the accepted one.
func (r reproducer) noteAccepted(b built) error {
	accepted, err := release.ReadLock(r.lockPath())
	if err != nil {
		return err
	}
	if accepted == nil {
		r.story.note("%s", release.NoLock)
		return nil
	}
	if accepted.MRENCLAVE != nil && *accepted.MRENCLAVE != b.mrenclave {
		r.story.note("%s has MRENCLAVE %s: a release would be refused; mrelease accept says what changed", r.lockPath(), accepted.MRENCLAVE)
	}
	return nil
}
