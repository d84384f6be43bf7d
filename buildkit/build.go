package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gateway "github.com/moby/buildkit/frontend/gateway/client"

	"github.com/mrelease/mrelease/buildkit/engine"
)

// Built is a finished build.
type Built struct {
	Image v1.Image
	// Materials are what the builder took from elsewhere: base images, and with
	// NetworkRecorded what RUN steps fetched, in the order of their URIs.
	Materials []Material
	// Log is the path of the display's file; empty for none (see Progress).
	Log string
}

// Build makes the image of a source, writes it to dir as an OCI layout that
// holds this one image, and opens it from there. The image's digest is that of
// its manifest.
//
// The layout appears in dir when it is complete; an empty folder or an older
// layout there is replaced, anything else is an error. The raw output of the
// RUN steps goes to log, which may be nil, in whole lines, with the values of
// secrets masked. BuildKit drops what a step prints beyond 2 MiB or 200 KiB per
// second, and says so in the output. Steps that come from the cache print
// nothing.
//
// A Dockerfile that cannot be built is a [*BuildError], which shows none of its text
// when links lead to it out of the context; when ctx ends, the
// error is that of ctx; for an invalid source it is that of Source.Validate.
func (b *Builder) Build(ctx context.Context, src Source, dir string, log io.Writer) (Built, error) {
	return b.Begin(ctx, src, dir, log).Finish()
}

// Building is a build under way, of which nothing is to be seen: neither is it shown,
// nor is anything in its folder. It is ended by Finish or by Drop.
type Building struct {
	ctx    context.Context
	cancel context.CancelFunc
	wanted chan struct{} // closed when it may be seen
	done   chan struct{} // closed when built and err are there
	built  Built
	err    error
}

// Begin begins what Build does, for a caller who may find meanwhile that the image is
// not wanted.
func (b *Builder) Begin(ctx context.Context, src Source, dir string, log io.Writer) *Building {
	p := &Building{wanted: make(chan struct{}), done: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(ctx)
	go func() {
		defer close(p.done)
		p.built, p.err = b.build(p, src, dir, log)
	}()
	return p
}

// Finish shows the build, from its beginning, and ends as Build does.
func (p *Building) Finish() (Built, error) {
	defer p.cancel()
	close(p.wanted)
	<-p.done
	return p.built, p.err
}

// Drop ends the build, and leaves nothing of it but what the builder has in its cache.
func (p *Building) Drop() {
	p.cancel()
	<-p.done
}

// want waits until the build may be seen.
func (p *Building) want() error {
	select {
	case <-p.wanted:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

func (b *Builder) build(p *Building, src Source, dir string, log io.Writer) (Built, error) {
	ctx := p.ctx
	in, err := src.read(ctx)
	if err != nil {
		return Built{}, err
	}
	partial, remove, err := makePartial(dir)
	if err != nil {
		return Built{}, err
	}
	defer remove()
	building, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	in.refuse = refuse
	if in.marks, err = b.openMarks(); err != nil {
		return Built{}, err
	}
	image := filepath.Join(partial, "image")
	layers, err := b.openLayers(formOf(src.Compression), partial, image)
	if err != nil {
		return Built{}, err
	}
	finish := finisher{layers: layers, epoch: src.epoch(), created: src.created()}
	out, err := newLayoutStore(image, b.blobs, finish.knows, refuse)
	if err != nil {
		return Built{}, err
	}
	defer out.close()
	finish.store = out
	opt, err := src.request(in, partial, out)
	if err != nil {
		return Built{}, err
	}
	opt.CacheImports = b.steps.imports()
	told := newTranscript(log, src.Secrets)
	told.hides, told.want = src.isLinkedOut(), p.want
	progress, shown := b.progress.to(dir)
	response, err := b.solve(building, solving{src.path(), progress, told}, opt, src.frontend(&finish.plan))
	err = cmp.Or(err, shown.Close())
	if refused := context.Cause(building); refused != nil && ctx.Err() == nil {
		return Built{}, fmt.Errorf("building image: %w", refused)
	}
	var failed *BuildError
	if errors.As(err, &failed) {
		src.findCause(failed, in.context.modes())
		src.hide(failed)
		failed.Log = shown.name()
	}
	if err != nil {
		return Built{}, err
	}
	exported, err := v1.NewHash(response.ExporterResponse[exptypes.ExporterImageDigestKey])
	if err != nil {
		return Built{}, fmt.Errorf("parsing the builder's digest: %w", err)
	}
	materials, err := finish.finish(ctx, exported, src.MaterialsKey)
	if errors.Is(err, errEmptyImage) {
		return Built{}, src.emptyImage()
	}
	if err != nil {
		return Built{}, fmt.Errorf("finishing image: %w", b.distrust(err))
	}
	if err := checkPlatform(image); err != nil {
		return Built{}, fmt.Errorf("checking built image: %w", err)
	}
	if err := p.want(); err != nil {
		return Built{}, fmt.Errorf("building image: %w", err)
	}
	if err := install(image, dir); err != nil {
		return Built{}, err
	}
	opened, err := openLayout(dir)
	return Built{opened, materials, shown.name()}, err
}

// openLayers returns the cache of finished layers for an image that is made: the builder's,
// else one for this build, in a scratch folder. A client of a daemon may have no folder that it can
// write to, and does without.
func (b *Builder) openLayers(f form, scratch, image string) (layerCache, error) {
	blobs := filepath.Join(image, "blobs", "sha256")
	if b.layers != "" && os.MkdirAll(b.layers, 0o700) == nil && isWritable(b.layers) {
		return newLayerCache(f, b.layers, blobs), engine.CheckState(filepath.Dir(b.layers))
	}
	c := newLayerCache(f, filepath.Join(scratch, "layers"), blobs)
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return layerCache{}, fmt.Errorf("making folder for layers: %w", err)
	}
	return c, nil
}

// isWritable reports whether files can be made in a folder.
func isWritable(folder string) bool {
	trial, err := os.MkdirTemp(folder, ".new-*")
	return err == nil && os.Remove(trial) == nil
}

// solving is the build of a Dockerfile, as it is told.
type solving struct {
	dockerfile string
	progress   Progress
	transcript *transcript
}

// solve runs the build of a Dockerfile.
func (b *Builder) solve(ctx context.Context, s solving, opt client.SolveOpt, build gateway.BuildFunc) (response *client.SolveResponse, err error) {
	err = follow(ctx, s.progress, s.transcript, func(status chan *client.SolveStatus) (err error) {
		response, err = b.client.Build(ctx, opt, "", build, status)
		return err
	})
	if ctx.Err() != nil {
		return nil, fmt.Errorf("building image: %w", ctx.Err())
	}
	if err != nil {
		return nil, s.transcript.explain(err, s.dockerfile)
	}
	return response, nil
}

// makePartial creates the folder a build writes to, beside dir so that the
// layout can be moved there in one step, and removes those of killed builds.
func makePartial(dir string) (partial string, remove func(), err error) {
	if err := checkReplaceable(dir); err != nil {
		return "", nil, err
	}
	dir = filepath.Clean(dir) // "out/" lies beside "out", not in it
	parent, prefix := filepath.Dir(dir), "."+filepath.Base(dir)+"."
	partial, unlock, err := makeLocked(parent, prefix, func(string) error { return nil })
	return partial, func() { _ = errors.Join(removeAll(partial), unlock()) }, err
}

// removeAll removes a folder into which the builder may go on writing for a moment,
// when a build was refused: it notices only then. What is left after a second is
// removed by the next build.
func removeAll(dir string) error {
	for range 50 {
		err := os.RemoveAll(dir)
		if _, there := os.Lstat(dir); err == nil && errors.Is(there, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return os.RemoveAll(dir)
}

// OutputError says that there is something in an output folder's place that a build
// does not replace.
type OutputError struct{ Folder, Actual string }

// Error implements error.
func (e *OutputError) Error() string {
	return fmt.Sprintf("the image folder %q is not replaced: %s", e.Folder, e.Actual)
}

// Evidence returns what is there.
func (e *OutputError) Evidence() [][2]string {
	return [][2]string{{"where", e.Folder}, {"expected", "nothing, an empty folder, or an image layout"}, {"actual", e.Actual}}
}

// checkReplaceable refuses a folder that holds something else than a layout.
func checkReplaceable(dir string) error {
	found, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(found) == 0 {
		return nil
	}
	if err != nil {
		return &OutputError{dir, "it cannot be opened as a folder: " + err.Error()}
	}
	if _, err := os.Stat(filepath.Join(dir, "oci-layout")); err != nil {
		return &OutputError{dir, "it holds something else than an image layout, such as " + found[0].Name()}
	}
	return nil
}

// install moves a finished layout to its place.
func install(partial, dir string) error {
	// BuildKit leaves an empty work folder in the layout.
	if err := os.Remove(filepath.Join(partial, "ingest")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("finishing image layout: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("replacing image folder: %w", err)
	}
	if err := os.Rename(partial, dir); err != nil {
		return fmt.Errorf("installing image layout: %w", err)
	}
	return nil
}

// distrust has the embedded builder's cache begun anew after a *ChangedError, which it
// returns.
func (b *Builder) distrust(err error) error {
	var changed *ChangedError
	if errors.As(err, &changed) && b.distrustCache != nil {
		return errors.Join(err, b.distrustCache())
	}
	return err
}

// checkPlatform makes sure that the layout holds one image for the platform.
func checkPlatform(dir string) error {
	image, err := openLayout(dir)
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return fmt.Errorf("reading image configuration: %w", err)
	}
	if made := config.OS + "/" + config.Architecture; made != platform {
		return fmt.Errorf("comparing platforms: the image is for %s, not %s", made, platform)
	}
	return nil
}

// openLayout opens the only image of a layout.
func openLayout(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("opening image layout %q: %w", dir, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading image layout %q: %w", dir, err)
	}
	if n := len(manifest.Manifests); n != 1 {
		return nil, fmt.Errorf("reading image layout %q: %d manifests, not one", dir, n)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		return nil, fmt.Errorf("opening image in layout %q: %w", dir, err)
	}
	return image, nil
}
