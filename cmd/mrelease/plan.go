package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/source"
)

func (a *app) planCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say what a release would do, without doing it",
		Long: `plan looks up what is there of a version: its image, the image's signature and
provenance, the app and the app's order. It says what a release would make of it, at what cost,
and who can use the order. It builds nothing, writes nothing, and ends with the
error that the release would end with, as far as that can be seen. The passwords
of the keys are not needed; without them signature and provenance may not be
told.`,
		Example: "  mrelease plan --version 1.2.0\n  mrelease plan --json",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.plan(c.Context()) },
	}
	a.sourceFlags(c)
	a.releaseFlags(c)
	return c
}

func (a *app) plan(ctx context.Context) error {
	told := planLines{a.lines(), a.json}
	r, err := a.newRelease(ctx, source.Options{Release: true, Unread: true}, told)
	if err != nil {
		return err
	}
	r.Keys = a.ring(r.Settings)
	if _, err := connect(ctx, &r); err != nil {
		return err
	}
	if base := a.page.Run.Base; base != "" {
		a.page.Before = new(page.Before)
		if a.page.Before.Lock, a.page.Before.Seen, err = release.EarlierLock(ctx, a.sourceOptions(source.Options{Settings: r.Settings}), base); err != nil {
			return err
		}
	}
	plan, err := r.Plan(ctx)
	if err != nil {
		return err
	}
	answer := page.NewPlan(plan, a.context())
	*a.story.steps = answer.Cases()
	outputs, err := answer.Outputs()
	if err := a.answerJob(answer.Summary(), outputs, err); err != nil {
		return err
	}
	if a.json {
		return printJSON(a.stdout, answer)
	}
	told.note("%s", plan.Conclusion())
	return nil
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
	l.note("%s %-10s %s", mark, f.Name, f.Evidence)
}
