package orders

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/publish/rotation"
	"github.com/mrelease/mrelease/settings"
)

// pick returns the release that is named, else the one that unnamed chooses. One that was
// revoked, or that the key did not sign, is an error.
func (d *desk) pick(ctx context.Context, args []string, unnamed func(rotation.Releases, func(apps.Registration) error) (apps.Registration, error)) (app apps.Registration, err error) {
	releases, err := d.Releases(ctx, d.line)
	if err != nil {
		return app, err
	}
	key, err := d.ring.Checker(ctx)
	if err != nil {
		return app, err
	}
	check := func(app apps.Registration) error {
		return record.CheckRevocation(ctx, d.registry(), key, d.Chain.ID, app)
	}
	if len(args) == 0 {
		return unnamed(releases, check)
	}
	if app, err = releases.Of(args[0]); err == nil {
		err = check(app)
	}
	return app, err
}

func (s *shell) rollback() *cobra.Command {
	c := &cobra.Command{
		Use:   "rollback [VERSION]",
		Short: "Sell the release before the last one again, and end the sale of the last",
		Long: `rollback puts the release before the last one on sale again, or the version that is named,
passing over those that were revoked, which it says, and then closes every other order of the app's releases, in one command. The old order was
closed for good when its release was retired: another one is opened, which every machine
derives in the same way. Its terms are those of the release's record (--record), which is
then written anew with that order, else those in mrelease.yaml. The files of project name
that release then, the name of app.ens is made to lead to its app, and the groups of
app.groups have it. Where a Safe owns the apps (wallet.safe) the order names the release's
record, given or found beside the image, which is put there with that order, and what the
Safe has to call is written to dist/safe.json; the same command ends with 0 after that.`,
		Example: "  mrelease rollback\n  mrelease rollback 1.1.0 --record record-1.1.0.json\n  mrelease rollback --dry-run --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: s.acting("rollback", settings.Purpose{Publish: true}, func(ctx context.Context, d *desk, args []string) (w work, err error) {
			app, err := d.pick(ctx, args, func(r rotation.Releases, check func(apps.Registration) error) (app apps.Registration, err error) {
				app, w.revoked, err = r.Previous(check)
				return app, err
			})
			if len(w.revoked) > 0 {
				d.Note("left out %s: revoked", strings.Join(w.revoked, ", "))
			}
			if err != nil {
				return w, err
			}
			if d.settings.Wallet.IsSafe() {
				revoked := w.revoked
				w, err = d.rollbackPresigned(ctx, app)
				w.revoked = revoked
				return w, err
			}
			terms, err := d.terms(app.Address)
			if err != nil {
				return w, err
			}
			if w.Change, err = d.Rollback(ctx, d.line, app, terms, s.foreign); err == nil {
				w.known, err = d.findKnown(ctx, app.Address, true)
			}
			return w, err
		}),
	}
	s.writeFlags(c)
	s.foreignFlag(c)
	return c
}

func (s *shell) revoke() *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke VERSION --why TEXT",
		Short: "Withdraw a release for good, and say why",
		Long: `revoke closes the orders of a release, whoever made them: those that the market lists or a
record has, and the one that mrelease would open next under these terms and those of
mrelease.yaml, which may have been signed though nobody lists it. What signed the image, a
key or a job, states that the release is withdrawn, and why: an attestation among the
image's referrers (docs/predicates/revocation.md). A job must run at the reference at which
it signed the image, such as the release's tag. From then on verify fails with E-REVOKED.
There is no way back but a new version. The name of app.ens leads nowhere then, if it led to
that release's app, and the groups of app.groups have the app no more. Where a Safe owns the
apps (wallet.safe) the statement is made at once, and what the Safe has to close is written
to dist/safe.json, also an order that it was asked to presign and did not yet; until it has
executed that, whoever has an order can have it matched.`,
		Example: "  mrelease revoke 1.1.0 --why 'leaks what it greets'\n  mrelease revoke 1.1.0 --why '…' --dry-run",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkReason(c.CommandPath(), s.why); err != nil {
				return err
			}
			return s.acting("revoke", settings.Purpose{Publish: true}, findRevocation)(c, args)
		},
	}
	s.writeFlags(c)
	c.Flags().StringVar(&s.why, "why", "", "why the release is withdrawn, in a line (required)")
	return c
}

func checkReason(command, why string) error {
	if why == "" {
		return usage.Errorf(command, "want --why TEXT: those who trusted the release are told nothing else")
	}
	if len(why) > record.MaxReason {
		return usage.Errorf(command, "--why has %d bytes, and at most %d are taken", len(why), record.MaxReason)
	}
	if err := printable.CheckLine(why); err != nil {
		return usage.Errorf(command, "--why: %w", err)
	}
	return nil
}

// findRevocation finds what it takes to withdraw a release.
func findRevocation(ctx context.Context, d *desk, args []string) (w work, err error) {
	releases, err := d.Releases(ctx, d.line)
	if err != nil {
		return w, err
	}
	app, err := releases.Of(args[0])
	if err != nil {
		return w, err
	}
	key, err := d.ring.Checker(ctx)
	if err != nil {
		return w, err
	}
	statement, err := d.NewStatement(ctx, d.registry(), key, app, d.why)
	if err != nil {
		return w, err
	}
	w.statement = &statement
	if d.settings.Wallet.IsSafe() {
		w.Change, err = d.revocationPresigned(ctx, app)
		return w, err
	}
	terms, err := d.terms(app.Address)
	if err != nil {
		return w, err
	}
	w.Change, err = d.Revoke(ctx, rotation.Withdrawal{
		Line: d.line, App: app, Terms: terms, Known: rotation.Known(d.Chain.Domain(), d.line.Owner, d.all()), Stated: statement.There,
	})
	if err == nil {
		w.known, err = d.findKnown(ctx, app.Address, false)
	}
	return w, err
}

// signer opens who signs a statement that is not there yet, once the registry is seen to
// let its user push.
func (d *desk) signer(ctx context.Context, statement *rotation.Statement) (signing.Signer, error) {
	if statement == nil || statement.There {
		return nil, nil
	}
	image, err := statement.Image()
	if err != nil {
		return nil, err
	}
	if _, err := d.registry().CheckAccess(ctx, image.Repository); err != nil {
		return nil, err
	}
	signer, err := d.ring.OpenSigner(ctx)
	if err != nil {
		return nil, err
	}
	return signer, statement.CheckHeeded(ctx, d.registry(), signer)
}

// state lets who signs make the statement.
func (d *desk) state(ctx context.Context, statement *rotation.Statement, signer signing.Signer) (made bool, err error) {
	switch {
	case statement == nil:
		return false, nil
	case signer == nil:
		d.Note("revoked %s was revoked before: %s", statement.Version, statement.Reason)
		return false, nil
	}
	client := d.registry()
	client.Layout = d.settings.Sign.Layout
	if made, err = statement.Write(ctx, client, signer); err == nil {
		d.Note("revoked %s, with %s: %s", statement.Version, signer, statement.Reason)
	}
	return made, err
}
