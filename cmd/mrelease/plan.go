package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

func (a *app) planCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say what a release would do, without doing it",
		Long: `plan looks up what is there of a version: its image, the image's signature and
provenance, the app and the app's order. It says what a release would make of it,
at what cost, and who can use the order. It builds nothing, writes nothing, and
ends with the error that the release would end with, as far as that can be seen.
The passwords of the keys are not needed; without them signature and provenance
may not be told.

With -o it writes all that a release would do to a file, which somebody can
approve: mrelease apply does that and nothing else. If mrelease build left an
image of the same inputs in dist/image, the plan is of that image, and apply
pushes it.`,
		Example: "  mrelease plan --version 1.2.0\n  mrelease plan --json\n  mrelease plan -o dist/plan.json",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.plan(c.Context(), output) },
	}
	c.Flags().StringVarP(&output, "output", "o", "", "file to write what is to be approved to")
	a.sourceFlags(c)
	a.releaseFlags(c)
	return c
}

func (a *app) plan(ctx context.Context, output string) error {
	all, err := settings.LoadAll(a.sources(), settings.Purpose{Build: true, Publish: true})
	if err != nil {
		return err
	}
	if len(all) > 1 {
		return a.together().PlanAll(ctx, all, output)
	}
	answer, err := a.planOne(ctx, all[0], output)
	if err != nil {
		return err
	}
	*a.story.steps = answer.Cases()
	outputs, err := answer.Outputs()
	if err := a.answerJob(answer.Summary(), outputs, err); err != nil {
		return err
	}
	if a.json {
		return printJSON(a.stdout, answer)
	}
	if output != "" {
		a.lines().note("  %-10s %s, %s", "plan", output, answer.Bound())
	}
	a.lines().note("%s", answer.Verdict())
	return nil
}

func (a *app) planOne(ctx context.Context, cfg settings.Settings, output string) (page.Plan, error) {
	r, err := a.newRelease(ctx, cfg, source.Options{Release: true, Unread: true}, planLines{a.lines(), a.json})
	if err != nil {
		return page.Plan{}, err
	}
	ring := a.ring(r.Settings)
	ring.Quiet = true
	r.Keys, r.Built = ring, output != ""
	if _, err := connect(ctx, &r); err != nil {
		return page.Plan{}, err
	}
	if base := a.page.Run.Base; base != "" {
		a.page.Before = new(page.Before)
		if a.page.Before.Lock, a.page.Before.Seen, err = release.EarlierLock(ctx, a.sourceOptions(source.Options{Settings: r.Settings}), base); err != nil {
			return page.Plan{}, err
		}
	}
	plan, err := r.Plan(ctx)
	if err != nil {
		return page.Plan{}, err
	}
	return page.NewPlan(plan, a.context()), r.WriteBound(ctx, plan, output)
}

// planLines prints a plan as it is found.
type planLines struct {
	story
	silent bool
}

// Found implements release.Teller.
func (l planLines) Found(f release.Finding) {
	if l.silent {
		return
	}
	mark := map[release.State]printable.Own{
		release.There: l.paint(green, "✓"), release.ToMake: l.paint(yellow, "+"), release.Unknown: l.paint(yellow, "?"), release.ToRetire: l.paint(yellow, "−"), release.Note: " ",
	}[f.State]
	l.note("%s %-10s %s", mark, l.named(f.Name), f.Evidence)
}
