package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/compare"
	"github.com/mrelease/mrelease/measure/diff"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

func (a *app) reproduceCommand() *cobra.Command {
	var against string
	var limit int
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
An image that comes out the same bit for bit is measured once.
With --builder A,B two daemons make one build each, without their caches.
Exit codes: 0 reproducible; 1 a build failed; 2 configuration, builder; 10 not reproducible; 11 cannot be measured; 15 --against without a builder.`,
		Example: "  mrelease reproduce\n  mrelease reproduce --version 1.0.0 --against ghcr.io/acme/hello@sha256:…",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.reproduce(c.Context(), against, limit)
		},
	}
	a.addBuildFlags(c)
	c.Flags().StringVar(&against, "against", "", "published image to compare one rebuild with: IMAGE@DIGEST, or the folder of an OCI layout")
	c.Flags().IntVar(&limit, "lines", 20, "differences of a layer to show")
	return c
}

// reproduceAnswer is the answer of mrelease reproduce --json.
type reproduceAnswer struct {
	Schema       string         `json:"schema"`
	Reproducible bool           `json:"reproducible"`
	Against      string         `json:"against,omitempty"`
	Parts        []compare.Part `json:"parts"`
	Diff         *diff.Report   `json:"diff,omitempty"` // when the manifests differ
}

func (a *app) reproduce(ctx context.Context, against string, limit int) error {
	cfg, err := a.load(settings.Purpose{Build: true})
	if err != nil {
		return err
	}
	if err := a.checkAgainst(against); err != nil {
		return err
	}
	r := compare.Rebuild{Maker: a.maker(nil, cfg)}
	if r.Source, err = a.readSource(ctx, source.Options{Settings: cfg}); err != nil {
		return err
	}
	if r.Builder, err = a.builderOptions(cfg); err != nil {
		return err
	}
	if r.Builder.Progress.Log { // into folders that are gone afterwards
		r.Builder.Progress.Log, r.Builder.Progress.Mode = false, "quiet"
	}
	verdict, err := a.rebuild(ctx, r, against)
	if err != nil {
		return err
	}
	if err := release.NoteAccepted(a.story, a.lockPath(cfg), verdict.MRENCLAVE); err != nil {
		return err
	}
	return a.printReproduced(verdict, against, limit)
}

func (a *app) rebuild(ctx context.Context, r compare.Rebuild, against string) (compare.Verdict, error) {
	if against == "" {
		return r.Twice(ctx)
	}
	published, err := release.OpenImage(ctx, a.registry(), against)
	if err != nil {
		return compare.Verdict{}, err
	}
	return r.Against(ctx, published)
}

// checkAgainst refuses a builder that would take the second build from the first
// one's cache, and what may be another image tomorrow.
func (a *app) checkAgainst(against string) error {
	if against != "" {
		return release.CheckPinned(against)
	}
	if several := strings.Contains(a.build.builder, ","); a.build.builder != "" && a.build.builder != buildkit.Embedded && !several {
		return usage.Errorf("mrelease reproduce", "two builds from nothing need the embedded builder, or two daemons, joined by a comma: one keeps its state between them; --against IMAGE@DIGEST compares one")
	}
	return nil
}

func (a *app) printReproduced(v compare.Verdict, against string, limit int) error {
	answer := reproduceAnswer{Schema: "mrelease.reproduce/v1", Reproducible: v.Reproducible(), Against: against, Parts: v.Parts}
	if v.Report.Manifest.Verdict != diff.Equal {
		answer.Diff = &v.Report
	}
	if a.json {
		if err := printJSON(a.stdout, answer); err != nil || v.Reproducible() {
			return err
		}
		return usage.ToldError{Err: v.Err()}
	}
	out := a.lines()
	for _, p := range answer.Parts {
		out.note("%-10s %-17s %s", p.Part, p.Verdict, p.A)
		if p.A != p.B {
			out.note("%-28s %s", "", p.B)
		}
	}
	if answer.Diff != nil {
		if err := answer.Diff.WriteDetails(a.stdout, limit); err != nil {
			return err
		}
	}
	return v.Err()
}
