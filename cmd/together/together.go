// Package together is what the commands do that are about several apps of one
// configuration: check, plan, build and release. They share one builder, one wallet and one
// connection to the chain, and end with one report.
package together

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/buildkit/pool"
	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/release/several"
	"github.com/mrelease/mrelease/settings"
)

// Program is what these commands have of the program, beside what all have.
type Program struct {
	usage.Program
	CI      ci.Reporter
	Context func() page.Context             // with the steps so far
	Teller  func(app string) release.Teller // of an app's steps; of what all have in common for none
	Mark    func(several.State) any         // as lines begin
	Explain func(error) Failure
	Keys    func(settings.Settings) keys.Ring

	// Builders returns what has the builders of all apps: see [several.Group].
	Builders func(settings.Settings) func(builds, users int) (*pool.Pool, error)
	// Importers returns likewise what has the builder that takes steps of others.
	Importers func(settings.Settings) func(builds, users int) (*pool.Pool, error)

	// New reads what is to be released of an app, Plan plans it, and Build builds it.
	New   func(context.Context, settings.Settings) (release.Release, page.Context, error)
	Plan  func(context.Context, settings.Settings) (page.Plan, error)
	Build func(ctx context.Context, cfg settings.Settings, w several.Work) (document any, digest string, err error)
}

// Failure is an error as it is shown.
type Failure struct {
	Document any // mrelease.error/v1
	page.AppsFailure
}

// group is what the work on several apps has in common, of which one is given.
func (p Program) group(one settings.Settings) *several.Group {
	return &several.Group{
		Builders: p.Builders(one), Importers: p.Importers(one), Teller: p.Teller, Builds: several.Builds(),
		Progress: func(string) buildkit.Progress { return buildkit.Progress{Mode: "plain", Log: true} },
	}
}

// Release releases all apps.
func (p Program) Release(ctx context.Context, all []settings.Settings, approved, dryRun bool) error {
	if approved {
		return usage.Errorf("mrelease apply", "a plan that was approved is of one app, and the configuration has %d: --only NAME", len(all))
	}
	command := "release"
	if dryRun {
		command = "release --dry-run"
	}
	releases, contexts, err := p.read(ctx, command, all)
	if err != nil {
		return err
	}
	if err := p.ready(releases, contexts, dryRun); err != nil {
		return err
	}
	opening, err := p.Keys(all[0]).Open()
	if err != nil {
		return err
	}
	if err := p.connect(ctx, releases); err != nil {
		return err
	}
	for i, r := range releases {
		releases[i].Keys = opening.For(r.Settings.Enclave.Key, r.Settings.Secret)
	}
	act := p.group(all[0]).Run
	if dryRun {
		act = p.group(all[0]).DryRun
	}
	outcomes, err := act(ctx, releases)
	if outcomes == nil {
		return err
	}
	return p.answer(command, outcomes, err, func(i int, app *page.App) string {
		if dryRun {
			app.Answer = outcomes[i].Result.Record
			return fmt.Sprintf("would be released as %s", outcomes[i].Result.Record.Image.Digest)
		}
		return released(outcomes[i], contexts[i], app)
	})
}

// released fills what is told of an app that was released.
func released(o several.Outcome, c page.Context, app *page.App) string {
	answer := page.NewRelease(o.Result, c)
	app.Answer, app.Rows, app.Verify = answer, answer.Rows(), answer.VerifyCommands
	if len(o.Result.Made) == 0 {
		return answer.Verdict()
	}
	return fmt.Sprintf("%s in %.1f s: app %s, order %s", answer.Verdict(), o.Took.Seconds(), answer.AppAddress, answer.OrderHash)
}

// read reads the sources of all apps. What can be seen there is said before anything is
// built: then no app is released.
func (p Program) read(ctx context.Context, command string, all []settings.Settings) ([]release.Release, []page.Context, error) {
	releases, contexts := make([]release.Release, len(all)), make([]page.Context, len(all))
	outcomes := make([]several.Outcome, len(all))
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(several.Builds())
	for i, cfg := range all {
		group.Go(func() error {
			r, c, err := p.New(reading, cfg)
			releases[i], contexts[i] = r, c
			outcomes[i] = several.Outcome{Name: cfg.Apps.Chosen, State: several.Untouched, Err: err}
			if err != nil {
				outcomes[i].State, outcomes[i].Step = several.StateOf(err), "source"
			}
			return nil
		})
	}
	_ = group.Wait() // each app's error is its outcome's
	if err := several.Judge(outcomes); err != nil {
		return nil, nil, p.answer(command, outcomes, err, nil)
	}
	return releases, contexts, nil
}

// ready makes sure that all that is written at the end can be.
func (p Program) ready(all []release.Release, contexts []page.Context, dryRun bool) error {
	first := all[0].Settings
	if !dryRun {
		if err := p.CheckRun(first.Chain, first.IsDevelopment()); err != nil {
			return err
		}
	}
	for _, r := range all {
		if err := cmp.Or(release.TryOutput(r.Layout), release.TryOutput(string(r.Settings.Record)), release.TryProject(r.Settings)); err != nil {
			return err
		}
	}
	return cmp.Or(release.TryOutput(summaryPath()), p.CI.Ready(page.Context{Summary: summaryPath()}.KnownOutputs()...))
}

func summaryPath() string { return filepath.Join("dist", "summary.md") }

// connect connects all with the one chain and market.
func (p Program) connect(ctx context.Context, all []release.Release) error {
	told := p.Teller("")
	ended := told.Step("chain")
	profile, err := all[0].Connect(ctx, all[0].Settings)
	ended(fmt.Sprintf("%s (%d), hub %s", profile.Name, profile.ID, profile.Hub), err)
	if err != nil {
		return err
	}
	all[0].Chain.TellTo(told.Note)
	for i := range all {
		all[i].Chain, all[i].Market = all[0].Chain, all[0].Market
	}
	return nil
}

// PlanAll plans all apps, one after the other: each is told whole.
func (p Program) PlanAll(ctx context.Context, all []settings.Settings, output string) error {
	if output != "" {
		return usage.Errorf("mrelease plan", "--output: a plan that is to be approved is of one app, and there are several: --only NAME")
	}
	outcomes, plans := make([]several.Outcome, len(all)), make([]page.Plan, len(all))
	for i, cfg := range all {
		var err error
		if plans[i], err = p.Plan(ctx, cfg); ctx.Err() != nil {
			return ctx.Err()
		}
		outcomes[i] = several.Outcome{Name: cfg.Apps.Chosen, State: several.Done, Err: err}
		if err != nil {
			outcomes[i].State = several.Failed
		}
	}
	return p.answer("plan", outcomes, several.Judge(outcomes), func(i int, app *page.App) string {
		app.Answer = plans[i]
		return plans[i].Verdict()
	})
}

// BuildAll builds all apps.
func (p Program) BuildAll(ctx context.Context, all []settings.Settings, output string) error {
	if output != "" {
		return usage.Errorf("mrelease build", "--output: is the folder of one image, and there are %d apps, which are built into dist/NAME/image: --only NAME", len(all))
	}
	names := make([]string, len(all))
	for i, cfg := range all {
		names[i] = cfg.Apps.Chosen
		if err := release.TryOutput(cfg.Apps.Output("image")); err != nil {
			return err
		}
	}
	documents, digests := make([]any, len(all)), make([]string, len(all))
	outcomes, err := p.group(all[0]).Each(ctx, names, func(i int, w several.Work) (err error) {
		documents[i], digests[i], err = p.Build(ctx, all[i], w)
		return err
	})
	if outcomes == nil {
		return err
	}
	return p.answer("build", outcomes, err, func(i int, app *page.App) string {
		app.Answer = documents[i]
		return digests[i]
	})
}

// answer tells what became of each app, on all ways; its error is what the command ends
// with. Of an app that is done, done fills the rest and returns a verdict.
func (p Program) answer(command string, outcomes []several.Outcome, failed error, done func(int, *page.App) string) error {
	all := make([]page.App, len(outcomes))
	for i, o := range outcomes {
		all[i] = page.App{Name: o.Name, State: string(o.State), Step: o.Step}
		switch {
		case o.Err != nil:
			f := p.Explain(o.Err)
			all[i].Error, all[i].Verdict = f.Document, fmt.Sprintf("%s: %s; remedy: %s", f.Code, f.What, f.Remedy)
		case o.State == several.Done && done != nil:
			all[i].Verdict = done(i, &all[i])
		}
	}
	var why page.AppsFailure
	if failed != nil {
		why = p.Explain(failed).AppsFailure
	}
	c := p.Context()
	c.Summary = summaryPath()
	answer := page.NewApps(command, all, why, c)
	if err := p.tellJob(answer, command); err != nil {
		return err
	}
	if err := p.print(answer, outcomes); err != nil {
		return err
	}
	if failed != nil {
		return usage.ToldError{Err: failed}
	}
	return nil
}

// tellJob tells a CI system of a release or its plan. The summary of a release is a file, too,
// and so is whatever a system is told.
func (p Program) tellJob(answer page.Apps, command string) error {
	if command != "release" && command != "plan" {
		return nil
	}
	outputs, err := answer.Outputs()
	if err != nil {
		return err
	}
	summary := answer.Summary()
	if err := cmp.Or(p.CI.Outputs(outputs), p.CI.Summary(summary)); err != nil || command != "release" && answer.Run.System == "" {
		return err
	}
	return release.WriteOutput(summaryPath(), []byte(summary))
}

// print writes a line for each app: to standard error, and on standard output what a script
// takes: a document, or of each app that is done its name and what one app's command prints.
func (p Program) print(answer page.Apps, outcomes []several.Outcome) error {
	width := 0
	for _, app := range answer.Apps {
		width = max(width, len(app.Name))
	}
	for i, app := range answer.Apps {
		at := ""
		if app.Step != "" {
			at = "at " + app.Step + ": "
		}
		p.Note("%s %-*s  %-9s %s%s", p.Mark(outcomes[i].State), width, app.Name, app.State, at, app.Verdict)
	}
	if *p.JSON {
		return p.PrintJSON(p.Out, answer)
	}
	for _, app := range answer.Apps {
		if line := lineOf(app); line != "" {
			if _, err := fmt.Fprintln(p.Out, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// lineOf is what standard output has of an app that is done: the record's path, or the name
// and the digest.
func lineOf(app page.App) string {
	switch answer := app.Answer.(type) {
	case nil, page.Plan:
		return ""
	case page.Release:
		return answer.RecordPath
	}
	return strings.Join([]string{app.Name, app.Verdict}, " ")
}
