package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/poco"
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
		RunE: func(c *cobra.Command, _ []string) error {
			return a.plan(c.Context())
		},
	}
	a.addBuildFlags(c)
	a.targetFlags(c)
	return c
}

// planAnswer is the answer of mrelease plan --json.
type planAnswer struct {
	Schema     string            `json:"schema"`
	Version    string            `json:"version"`
	Commit     string            `json:"commit,omitempty"`
	Dirty      bool              `json:"dirty,omitempty"` // the source is not the commit
	Inputs     string            `json:"inputs"`
	Wallet     string            `json:"wallet"`                     // address of the app's owner
	StatedBy   string            `json:"wallet-stated-by,omitempty"` // who states it, as its key was not opened
	Image      string            `json:"image"`
	Digest     string            `json:"digest,omitempty"`      // when the image is there
	AppAddress string            `json:"app-address,omitempty"` // when the image is there
	OrderHash  string            `json:"order-hash,omitempty"`  // when the image is there
	Steps      []release.Finding `json:"steps"`
	Make       []string          `json:"make"` // the things that a release would make; empty when all is there
	Cost       *release.Cost     `json:"cost,omitempty"`
	Obstacles  []poco.Obstacle   `json:"obstacles,omitempty"` // who cannot use the order
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
	plan, err := r.Plan(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return printJSON(a.stdout, newPlanAnswer(plan))
	}
	told.note("%s", plan.Conclusion())
	return nil
}

func newPlanAnswer(p release.Plan) planAnswer {
	answer := planAnswer{
		Schema: "mrelease.plan/v1", Version: p.Version, Commit: p.Commit, Dirty: p.Dirty, Inputs: p.Inputs.String(), Wallet: p.Wallet, StatedBy: p.StatedBy, Image: p.Image, Digest: p.Digest,
		AppAddress: p.AppAddress, OrderHash: p.OrderHash, Make: p.With(release.ToMake), Cost: p.Cost, Obstacles: p.Obstacles,
	}
	for _, f := range p.Findings {
		if f.State != release.Note {
			answer.Steps = append(answer.Steps, f)
		}
	}
	return answer
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
		release.There: l.paint(green, "✓"), release.ToMake: l.paint(yellow, "+"), release.Unknown: l.paint(yellow, "?"), release.Note: " ",
	}[f.State]
	l.note("%s %-10s %s", mark, f.Name, f.Evidence)
}
