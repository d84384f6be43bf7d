package main

import (
	"context"

	"github.com/mrelease/mrelease/cmd/together"
	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/release/several"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// together is what the commands have that are about several apps.
func (a *app) together() together.Program {
	return together.Program{
		Program: a.shared(), CI: a.story.ci, Context: a.context, Builders: a.builders, Importers: a.importers, Keys: a.ring,
		Teller: func(app string) release.Teller { return a.story.of(app) },
		Mark: func(s several.State) any {
			return map[several.State]any{several.Done: a.story.paint(green, "✓"), several.Failed: a.story.paint(red, "✗"), several.Untouched: a.story.paint(yellow, "–")}[s]
		},
		Explain: failureOf,
		New: func(ctx context.Context, cfg settings.Settings) (release.Release, page.Context, error) {
			one := a.about(cfg)
			r, err := one.newRelease(ctx, cfg, source.Options{Release: true}, one.story)
			return r, one.page, err
		},
		Plan: func(ctx context.Context, cfg settings.Settings) (page.Plan, error) {
			return a.about(cfg).planOne(ctx, cfg, "")
		},
		Build: func(ctx context.Context, cfg settings.Settings, w several.Work) (any, string, error) {
			answer, err := a.about(cfg).buildOne(ctx, cfg, cfg.Apps.Output("image"), w)
			return answer, answer.Digest.String(), err
		},
	}
}

// failureOf is an error as it is shown.
func failureOf(err error) together.Failure {
	f := explain(err)
	return together.Failure{Document: f, AppsFailure: page.AppsFailure{Code: f.Code, What: f.What, Evidence: f.Evidence, Remedy: f.Remedy, Exit: f.Exit}}
}

// about is the program as it works on one of several apps.
func (a *app) about(cfg settings.Settings) *app {
	one := *a
	one.story = a.story.of(cfg.Apps.Chosen)
	return &one
}
