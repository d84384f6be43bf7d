package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

func (a *app) releaseCommand() *cobra.Command {
	var dryRun bool
	c := &cobra.Command{
		Use: "release",

		SuggestFor: []string{"publish", "deploy", "push", "sign", "attest", "register", "offer"},

		Short: "Build, measure, push, sign, register and offer a version",
		Long: `release builds the image of a version, measures its enclave, pushes and signs
it and attests what it was made from, registers it as an app and puts the app's
order on the market, and writes the record of it all. What an earlier run of the
same version made is used, so a release that was interrupted is finished by
running it again, on any machine.

Secrets come from the environment: ` + keys.WalletPassword + ` (or ` + keys.WalletKey + `
with wallet.allow-raw-key), ` + settings.PayerPassword + ` where another
wallet pays (wallet.payer), and ` + keys.CosignPassword + `.`,
		Example: "  mrelease release --version 1.2.0\n  mrelease release --dry-run --json",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.release(c.Context(), nil, dryRun) },
	}
	a.makeFlags(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "do all but the outside writes, and print the record that would be written")
	return c
}

// makeFlags are those of the commands that make a release.
func (a *app) makeFlags(c *cobra.Command) {
	a.addBuildFlags(c)
	a.noCacheFlag(c)
	a.releaseFlags(c)
}

// apply makes a release that was approved.
func (a *app) apply(ctx context.Context, approved approval.Plan, dryRun bool) error {
	a.build.version = cmp.Or(a.build.version, approved.Version)
	return a.release(ctx, &approved, dryRun)
}

// release makes a release: of whatever is asked for, if no plan was approved.
func (a *app) release(ctx context.Context, approved *approval.Plan, dryRun bool) error {
	start := time.Now()
	all, err := settings.LoadAll(a.sources(), settings.Purpose{Build: true, Publish: true})
	if err != nil {
		return err
	}
	if len(all) > 1 {
		return a.together().Release(ctx, all, approved != nil, dryRun)
	}
	r, err := a.newRelease(ctx, all[0], source.Options{Release: true}, a.story)
	if err != nil {
		return err
	}
	r.Approved = approved
	if !dryRun {
		if err := a.page.Run.Check(r.Settings.Chain, r.Settings.IsDevelopment()); err != nil {
			return err
		}
	}
	if err := cmp.Or(release.TryOutput(r.Layout), release.TryOutput(string(r.Settings.Record)), release.TryProject(r.Settings), release.TryOutput(a.page.Summary), a.story.ci.Ready(a.page.KnownOutputs()...)); err != nil {
		return err
	}
	opening, err := a.ring(r.Settings).Open()
	if err != nil {
		return err
	}
	r.Keys, r.Builder = opening, a.opener(r.Settings)
	if err := a.story.step("chain", func() (string, error) { return connect(ctx, &r) }); err != nil {
		return err
	}
	if dryRun {
		result, err := r.DryRun(ctx)
		if err != nil {
			return err
		}
		a.story.note("dry run: nothing was pushed, signed, registered, offered or written")
		return printJSON(a.stdout, result.Record)
	}
	result, err := r.Run(ctx)
	if err != nil {
		return err
	}
	return a.answerRelease(result, time.Since(start))
}

// newRelease reads what is to be released. The world that it acts on is still to be
// opened.
func (a *app) newRelease(ctx context.Context, cfg settings.Settings, o source.Options, told release.Teller) (r release.Release, err error) {
	r = release.Release{
		Settings: cfg, Lock: a.lockPath(cfg), Layout: cfg.Apps.Output("image"), Foreign: a.build.foreign, Teller: told, CanaryAgain: a.build.canary.Again,
		World: release.World{Importer: a.importer(cfg), Registry: registry.Client{Keychain: a.keychain(), Progress: a.story.progress()}, Getenv: a.getenv},
	}
	if err := cmp.Or(release.CheckOutput(r.Layout), release.CheckOutput(string(cfg.Record))); err != nil {
		return r, err
	}
	o.Settings = cfg
	if r.Source, err = a.readSource(ctx, o); err != nil {
		return r, err
	}
	a.page.BesideRecord(string(cfg.Record))
	a.page.Lock, a.page.Configs = r.Lock, a.configFiles()
	if a.page.Accepted, err = release.ReadLock(r.Lock); err != nil {
		return r, err
	}
	return r, r.Source.Check() // before keys are looked for, and the chain
}

// connect connects a release with the chain and the market that its settings name.
func connect(ctx context.Context, r *release.Release) (evidence string, err error) {
	profile, err := r.Connect(ctx, r.Settings)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s (%d), hub %s", profile.Name, profile.ID, profile.Hub), nil
}
