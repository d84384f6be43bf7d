package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/diff"
	"github.com/mrelease/mrelease/publish/registry"
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

	cfg    config
	source source
	work   string
}

// built is one of the two things that are compared.
type built struct {
	image     v1.Image
	unsealed  *v1.Hash // config digest before mrelease sealed; nil: it does not seal
	mrenclave measure.MRENCLAVE
	value     string // what the chain stores
}

// reproduceAnswer is the answer of mrelease reproduce --json.
type reproduceAnswer struct {
	Schema       string       `json:"schema"`
	Reproducible bool         `json:"reproducible"`
	Against      string       `json:"against,omitempty"`
	Parts        []verdict    `json:"parts"`
	Diff         *diff.Report `json:"diff,omitempty"` // when the manifests differ
}

// verdict is the result for one part.
type verdict struct {
	Part    string       `json:"part"`
	Verdict diff.Verdict `json:"verdict"`
	A       string       `json:"a"`
	B       string       `json:"b"`
}

func (r reproducer) run(ctx context.Context) (err error) {
	if r.cfg, err = r.load(purpose{Build: true}); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	if r.source, err = r.readSource(r.cfg); err != nil {
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
	published, err := openImage(ctx, r.against)
	if err != nil {
		return a, b, err
	}
	a, err = r.rebuild(ctx, rebuilds()[1], func(ctx context.Context, builder *buildkit.Builder, image v1.Image, spec measure.Spec) (built, error) {
		if b, err = r.published(ctx, builder, published); err != nil {
			return built{}, err
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
	m, err := r.makeImage(ctx, builder, src, r.cfg, filepath.Join(dir, "image"))
	if err != nil {
		return out, err
	}
	spec := r.cfg.spec()
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
	opts.State, opts.Builder = state, or(opts.Builder, buildkit.Embedded)
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
	spec := r.cfg.spec()
	spec.Claim = manifest.Annotations[registry.FingerprintAnnotation]
	return r.measured(ctx, b, image, spec)
}

func (r reproducer) measured(ctx context.Context, b *buildkit.Builder, image v1.Image, spec measure.Spec) (built, error) {
	enclave, err := r.measureImage(ctx, b, image, spec)
	if err != nil {
		return built{}, err
	}
	facts, err := imageFacts(image)
	return built{image, facts.Unsealed, enclave.MRENCLAVE, enclave.Value}, err
}

// noteAccepted says whether the measurement is the accepted one.
func (r reproducer) noteAccepted(b built) error {
	accepted, err := r.readLock()
	if err != nil {
		return err
	}
	if accepted == nil {
		r.story.note("%s", noLock)
		return nil
	}
	if accepted.MRENCLAVE != nil && *accepted.MRENCLAVE != b.mrenclave {
		r.story.note("%s has MRENCLAVE %s: a release would be refused; mrelease accept says what changed", r.lockPath(), accepted.MRENCLAVE)
	}
	return nil
}

// judge compares and prints. Its error is an *irreproducibleError.
func (r reproducer) judge(ctx context.Context, a, b built) error {
	report, err := diff.Compare(ctx, a.image, b.image, r.cfg.random())
	if err != nil {
		return err
	}
	answer := reproduceAnswer{Schema: "mrelease.reproduce/v1", Against: r.against, Parts: r.verdicts(report, a, b), Reproducible: true}
	for _, v := range answer.Parts {
		answer.Reproducible = answer.Reproducible && v.Verdict != diff.Different
	}
	if report.Manifest.Verdict != diff.Equal {
		answer.Diff = &report
	}
	if err := r.print(answer); err != nil {
		return err
	}
	if answer.Reproducible {
		return nil
	}
	failed := error(&irreproducibleError{answer.Parts, report})
	if r.json {
		failed = toldError{failed}
	}
	return failed
}

// random says which differences the configured seal makes by design.
func (c config) random() diff.Options {
	if c.Enclave.Format != measure.Legacy {
		return diff.Options{}
	}
	return diff.Options{Files: append(measure.SealFiles(), c.Enclave.File), Annotations: []string{registry.FingerprintAnnotation}}
}

// verdicts lists the parts in the order in which they matter.
func (r reproducer) verdicts(report diff.Report, a, b built) []verdict {
	var all []verdict
	if a.unsealed != nil && b.unsealed != nil {
		all = append(all, same("unsealed", a.unsealed.String(), b.unsealed.String()))
	}
	all = append(all,
		verdict{"config", report.Config.Verdict, report.Config.A.String(), report.Config.B.String()},
		verdict{"manifest", report.Manifest.Verdict, report.Manifest.A.String(), report.Manifest.B.String()})
	if r.cfg.Enclave.Format == measure.None {
		return all
	}
	all = append(all, same("MRENCLAVE", a.mrenclave.String(), b.mrenclave.String()))
	if r.cfg.Enclave.Format == measure.Legacy && a.value != b.value {
		keytag := func(value string) string { return strings.Join(strings.Split(value, "|")[:2], "|") }
		if keytag(a.value) != keytag(b.value) {
			all = append(all, verdict{"KEY|TAG", diff.Random, keytag(a.value), keytag(b.value)})
		}
	}
	return all
}

func same(part, a, b string) verdict {
	if a == b {
		return verdict{part, diff.Equal, a, b}
	}
	return verdict{part, diff.Different, a, b}
}

func (r reproducer) print(answer reproduceAnswer) error {
	if r.json {
		return printJSON(r.stdout, answer)
	}
	out := r.lines()
	for _, v := range answer.Parts {
		value := v.A
		if v.A != v.B {
			value += "\n" + strings.Repeat(" ", 29) + v.B
		}
		out.note("%-10s %-17s %s", v.Part, v.Verdict, value)
	}
	if answer.Diff != nil {
		return answer.Diff.WriteDetails(r.stdout, r.limit)
	}
	return nil
}

// irreproducibleError says that the same source gave something else.
type irreproducibleError struct {
	Parts  []verdict
	report diff.Report
}

func (e *irreproducibleError) Error() string {
	var parts []string
	for _, v := range e.Parts {
		if v.Verdict == diff.Different {
			parts = append(parts, v.Part)
		}
	}
	return "the build is not reproducible: " + strings.Join(parts, ", ") + " differ"
}

// Evidence returns the parts that differ and the gravest differences.
func (e *irreproducibleError) Evidence() [][2]string {
	var facts [][2]string
	for _, v := range e.Parts {
		if v.Verdict == diff.Different {
			facts = append(facts, [2]string{v.Part, v.A + "\n" + v.B})
		}
	}
	for _, line := range e.report.Worst(5) {
		facts = append(facts, [2]string{"differs", line})
	}
	return facts
}

// remedy is the cure of the gravest cause.
func (e *irreproducibleError) remedy() string {
	for _, c := range e.report.Causes {
		if c.Name != diff.RandomSeal {
			return c.Cure
		}
	}
	return "look at the steps that make the files above: they use something that is not in the source, such as the time or a random number"
}
