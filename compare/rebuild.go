// Package compare says how two releases differ, and whether a source gives the same
// release again. It is for whoever checks a release: it needs no keys, and writes
// nothing but the folders that it is given.
package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/source"
)

// Rebuild is a source that is to be built again.
type Rebuild struct {
	release.Maker // without a builder
	Source        source.Source
	// Builder says which builder to use; each build gets a state folder of its own.
	Builder buildkit.Options
}

// built is one of the two things that are compared.
type built struct {
	image     v1.Image
	unsealed  *v1.Hash // config digest before mrelease sealed; nil: it does not seal
	mrenclave measure.MRENCLAVE
	value     string // what the chain stores
	builder   string // that built it; empty for a published image
}

// rebuilder is a rebuild on its way.
type rebuilder struct {
	Rebuild
	work string // folder
}

// Twice builds the source twice, each time from nothing: in a state folder of its
// own, from a copy of the source with other paths, times, modes, owners and order
// of files, in another second. Where Builder names several daemons, the second one is
// the second build's.
func (r Rebuild) Twice(ctx context.Context) (Verdict, error) {
	return r.inColdFolder(ctx, rebuilder.twice)
}

// Against builds the source once, and measures a published image beside it. Where there
// is no builder it looks at what the image states, and ends with a
// [*measure.UnmeasuredError].
func (r Rebuild) Against(ctx context.Context, published v1.Image) (Verdict, error) {
	v, err := r.inColdFolder(ctx, func(in rebuilder, ctx context.Context) (a, b built, err error) {
		return in.against(ctx, published)
	})
	var none *buildkit.NoBuilderError
	if errors.As(err, &none) {
		r.NoBuilder = none
		_, err = rebuilder{Rebuild: r}.published(ctx, r.Maker, published)
	}
	return v, err
}

func (r Rebuild) inColdFolder(ctx context.Context, both func(rebuilder, context.Context) (a, b built, err error)) (v Verdict, err error) {
	// BUILDKIT_HOST does not count unless it is asked for: its state is warm.
	r.Builder.Builder = cmp.Or(r.Builder.Builder, buildkit.Embedded)
	work, remove, err := buildkit.ColdFolder(ctx, r.Builder)
	if err != nil {
		return Verdict{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	a, b, err := both(rebuilder{r, work}, ctx)
	if err != nil {
		return Verdict{}, err
	}
	return judge(ctx, r.Settings.Enclave, a, b)
}

// plan says how one build is made differently.
type plan struct {
	name string
	path string

	builder string // of several daemons; empty for whichever is asked for
	shift   buildkit.Shift
}

// plans are the two; times lie before and after any epoch.
func plans() [2]plan {
	second := plan{name: "second", path: "b/deeper/down", shift: buildkit.Shift{Time: time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC), Umask: 0o077, Reverse: true, Owner: os.Geteuid()}}
	if os.Geteuid() == 0 {
		second.shift.Owner = 1000
	}
	first := plan{name: "first", path: "a", shift: buildkit.Shift{Time: time.Date(2038, 1, 1, 0, 0, 0, 0, time.UTC), Owner: os.Geteuid()}}
	return [2]plan{first, second}
}

// twice makes both. The second build starts in another second than the first, so
// that a time that a step writes down is another one.
func (r rebuilder) twice(ctx context.Context) (a, b built, err error) {
	next := time.Now().Truncate(time.Second).Add(time.Second)
	first, second := plans()[0], plans()[1]
	if remotes := r.Rebuild.Builder.Remotes(); len(remotes) > 1 {
		first.builder, second.builder = remotes[0].Address, remotes[1].Address
	}
	if a, err = r.rebuild(ctx, first, measured); err != nil {
		return a, b, err
	}
	select {
	case <-time.After(time.Until(next)):
	case <-ctx.Done():
		return a, b, ctx.Err()
	}
	b, err = r.rebuild(ctx, second, func(ctx context.Context, m release.Maker, image v1.Image, spec measure.Spec) (built, error) {
		if sameImage(a.image, image) {
			same := a
			same.builder = ""
			return same, nil // measuring takes a tenth of a build, and here it would measure the same bits
		}
		return measured(ctx, m, image, spec)
	})
	return a, b, err
}

func sameImage(a, b v1.Image) bool {
	x, errX := a.Digest()
	y, errY := b.Digest()
	return errX == nil && errY == nil && x == y
}

func (r rebuilder) against(ctx context.Context, published v1.Image) (a, b built, err error) {
	a, err = r.rebuild(ctx, plans()[1], func(ctx context.Context, m release.Maker, image v1.Image, spec measure.Spec) (built, error) {
		if b, err = r.published(ctx, m, published); err != nil || sameImage(image, published) {
			return b, err
		}
		return measured(ctx, m, image, spec)
	})
	return a, b, err
}

// measurer measures an image with the builder that built it.
type measurer func(context.Context, release.Maker, v1.Image, measure.Spec) (built, error)

// rebuild copies the source, builds it from nothing and has the result measured.
func (r rebuilder) rebuild(ctx context.Context, p plan, measured measurer) (out built, err error) {
	dir := filepath.Join(r.work, filepath.FromSlash(p.path))
	src := r.Source
	if src.Source, err = r.Source.Copy(ctx, filepath.Join(dir, "source"), p.shift); err != nil {
		return out, err
	}
	src.NoCache = true
	r.Teller.Note(fmt.Sprintf("%s build: files of %s, umask %03o, owner %d", p.name, p.shift.Time.Format(time.DateOnly), p.shift.Umask, p.shift.Owner))
	m := r.Maker
	if m.Builder, err = r.open(ctx, p); err != nil {
		return out, err
	}
	defer func() {
		out.builder = cmp.Or(out.builder, m.Builder.Name())
		if err := m.Builder.Close(); err != nil {
			r.Teller.Note("stopping the builder: " + err.Error())
		}
	}()
	made, err := m.Make(ctx, src, filepath.Join(dir, "image"))
	if err != nil {
		var failed *buildkit.BuildError
		if errors.As(err, &failed) {
			r.Source.InSource(ctx, failed)
		}
		return out, err
	}
	spec := r.Settings.Enclave.Spec()
	spec.Log = made.Log
	return measured(ctx, m, made.Image, spec)
}

// open starts a builder that has built nothing before.
func (r rebuilder) open(ctx context.Context, p plan) (*buildkit.Builder, error) {
	opts := r.Rebuild.Builder
	opts.State = filepath.Join(r.work, "state-"+p.name)
	if p.builder != "" { // of which the options say how it is reached
		i := slices.IndexFunc(opts.Remotes(), func(known buildkit.Remote) bool { return known.Address == p.builder })
		opts.Builders, opts.Builder = opts.Remotes()[i:i+1], p.builder
	}
	opts.Exclusive = false // there are two, one after the other
	return buildkit.Open(ctx, opts)
}

// published measures the image to compare with.
func (r rebuilder) published(ctx context.Context, m release.Maker, image v1.Image) (built, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return built{}, fmt.Errorf("reading manifest: %w", err)
	}
	if theirs := manifest.Annotations[registry.InputsAnnotation]; theirs != "" {
		ours, err := r.Source.Digest(ctx)
		if err == nil && ours.String() != theirs {
			r.Teller.Note(fmt.Sprintf("the published image was made from other inputs (%s) than these (%s): check out its commit and give its --version", theirs, ours))
		}
	}
	spec := r.Settings.Enclave.Spec()
	spec.Claim = manifest.Annotations[registry.FingerprintAnnotation]
	return measured(ctx, m, image, spec)
}

func measured(ctx context.Context, m release.Maker, image v1.Image, spec measure.Spec) (built, error) {
	enclave, err := m.Measure(ctx, image, spec)
	if err != nil {
		return built{}, err
	}
	facts, err := release.ImageFacts(image)
	return built{image: image, unsealed: facts.Unsealed, mrenclave: enclave.MRENCLAVE, value: enclave.Value}, err
}
