package buildkit

import (
	"context"
	"errors"
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/moby/buildkit/client"
)

// Steps are steps of builds, with what each made, in BuildKit's form: the folder of an OCI
// layout, and the digest of the manifest in it that lists them. Of a build that takes a step
// from it, whoever wrote it says what the step made.
type Steps struct {
	Folder string
	Digest v1.Hash
}

// How much [Builder.KeepSteps] keeps.
const (
	StepsMax = "max" // all steps, those of stages that the image is not made of among them
	StepsMin = "min" // the steps whose layers the image has
)

// The options of caches, as BuildKit's client has them.
const (
	stepsLocal  = "local"
	stepsSource = "src"
	stepsTarget = "dest"
	stepsDigest = "digest"
	stepsMode   = "mode"
)

// imports asks for what the builder may take; nothing of nil.
func (s *Steps) imports() []client.CacheOptionsEntry {
	if s == nil {
		return nil
	}
	return []client.CacheOptionsEntry{{Type: stepsLocal, Attrs: map[string]string{stepsSource: s.Folder, stepsDigest: s.Digest.String()}}}
}

// TakeFrom returns the builder such that its builds take steps. What it took it keeps, and
// takes again, also in builds that are to take nothing: so it is for a builder that has no
// others, as [Options.Importer] names one, or for one whose every build may take them.
func (b *Builder) TakeFrom(s Steps) *Builder {
	taking := *b
	taking.steps = &s
	return &taking
}

// Distrust has the embedded builder's cache begun anew by the next start: what it took is not
// what it was said to be. Another builder's stays.
func (b *Builder) Distrust() error {
	if b.distrustCache == nil {
		return nil
	}
	return b.distrustCache()
}

// KeepSteps writes the steps of a source that this builder has just built, and what they made,
// into a folder that is not there yet. Steps that are not in the builder's cache any more are
// built again. What RUN steps left of secrets in their layers is in it, of all stages with
// [StepsMax]; secrets are not.
func (b *Builder) KeepSteps(ctx context.Context, src Source, mode, folder string) (Steps, error) {
	in, err := src.read(ctx)
	if err != nil {
		return Steps{}, err
	}
	scratch, err := os.MkdirTemp(b.scratch, "steps-*")
	if err != nil {
		return Steps{}, fmt.Errorf("making work folder: %w", err)
	}
	defer removeAll(scratch)
	keeping, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	in.refuse = refuse
	if in.marks, err = b.openMarks(); err != nil {
		return Steps{}, err
	}
	src.NoCache = false // what was just built is not built again
	opt, err := src.request(in, scratch, nil)
	if err != nil {
		return Steps{}, err
	}
	opt.Exports = nil
	delete(opt.FrontendAttrs, provenanceAttr) // of what is exported, which is nothing
	opt.CacheExports = []client.CacheOptionsEntry{{Type: stepsLocal, Attrs: map[string]string{stepsTarget: folder, stepsMode: mode}}}
	told := newTranscript(nil, src.Secrets)
	told.hides = src.isLinkedOut()
	_, err = b.solve(keeping, solving{src.path(), Progress{}, told}, opt, src.frontend(&plan{}))
	if refused := context.Cause(keeping); refused != nil && ctx.Err() == nil {
		return Steps{}, fmt.Errorf("keeping steps: %w", refused)
	}
	if failed, ok := errors.AsType[*BuildError](err); ok {
		src.hide(failed)
	}
	if err != nil {
		return Steps{}, err
	}
	return openSteps(folder)
}

// openSteps finds the manifest in a folder of steps; there is none of a build without layers.
func openSteps(folder string) (Steps, error) {
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return Steps{}, fmt.Errorf("opening steps: %w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return Steps{}, fmt.Errorf("reading steps: %w", err)
	}
	if n := len(manifest.Manifests); n != 1 {
		return Steps{}, fmt.Errorf("reading steps: %d manifests, not one", n)
	}
	return Steps{folder, manifest.Manifests[0].Digest}, nil
}
