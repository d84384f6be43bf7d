package orders

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/publish/rotation"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

// work is what a command found to do.
type work struct {
	rotation.Change
	statement *rotation.Statement // that a release is withdrawn; nil for none
	revoked   []string            // versions that were passed over
	known     known
	vouched   *record.Record // of a release that a contract is to sell again, with its order
}

// acting returns what a command runs that changes what is on sale: it finds what is to be
// done, tells of it, does it unless this is a dry run, and answers.
func (s *shell) acting(answer string, need settings.Purpose, find func(context.Context, *desk, []string) (work, error)) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		d, err := s.open(c.Context(), c.CommandPath(), need)
		if err != nil {
			return err
		}
		found, err := find(c.Context(), d, args)
		if err != nil {
			return err
		}
		a := changeAnswer{Schema: "mrelease." + answer + "/v1", Chain: d.Chain.Name, DryRun: d.dryRun}
		if err := d.do(c.Context(), found, &a); err != nil {
			return err
		}
		return d.answer(a)
	}
}

// do tells of a change and what it costs, and does it unless this is a dry run.
func (d *desk) do(ctx context.Context, w work, answer *changeAnswer) error {
	d.tell(w.Change)
	if d.settings.Wallet.IsSafe() {
		return d.askSafe(ctx, w, answer)
	}
	d.tellKnown(w.known)
	cost, transactions, err := d.Cost(ctx, d.payer, orders.RetireClose, w.End)
	if err != nil {
		return err
	}
	needs := cost // what must be paid: nothing else keeps an app from being withdrawn
	if n := w.known.transactions; n > 0 {
		cost, transactions = cost.Plus(w.known.cost), transactions+n
	}
	if w.statement == nil {
		needs = cost
	}
	answer.fill(w, cost, transactions)
	answer.Known = w.known.answer(string(d.settings.App.ENS))
	if transactions > 0 {
		d.Note("cost    %s, %d gas, %s coins%s", printable.Count(transactions, "transaction"), cost.Gas, node.Coins(cost.Wei()), d.paid())
		if _, err := d.Chain.CheckFunds(ctx, d.payer, needs); err != nil {
			return err
		}
	}
	if w.Open != nil {
		if err := d.project().Check(ctx); err != nil {
			return err
		}
	}
	if d.dryRun {
		d.Note("dry run: nothing was changed")
		return nil
	}
	by, err := d.hands(ctx, w)
	if err != nil {
		return err
	}
	done, changed, err := d.carryOut(ctx, &w, by)
	if err != nil {
		return err
	}
	kept, err := d.keepProject(ctx, w.Change, done.Order)
	if err != nil {
		return err
	}
	answer.Opened, answer.Changed = done.Opened, changed || kept
	answer.Known = w.known.answer(string(d.settings.App.ENS))
	if !answer.Changed {
		d.Note("nothing was changed: all of it was so already")
	}
	if err := d.renew(ctx, by.wallet, w.Change); err != nil {
		return err
	}
	return release.Patiently(ctx, func() error { return d.confirm(ctx, w) })
}

// carryOut makes a change. An app is known while the orders before its own are on sale still;
// where it is withdrawn, its orders end first, and what cannot be changed of its name and
// groups is told, and is then no part of the work.
func (d *desk) carryOut(ctx context.Context, w *work, by hands) (done rotation.Done, changed bool, err error) {
	if done, err = d.Do(ctx, by.wallet, rotation.Change{Open: w.Open}); err != nil {
		return done, false, err
	}
	made := false
	if w.statement == nil {
		if made, err = d.makeKnown(ctx, by.wallet, w.known); err != nil {
			return done, false, err
		}
	}
	ended, err := d.Do(ctx, by.wallet, rotation.Change{End: w.End})
	if err != nil {
		return done, false, err
	}
	stated, err := d.state(ctx, w.statement, by.signer)
	if err != nil {
		return done, false, err
	}
	if w.statement != nil {
		if made, err = d.makeKnown(ctx, by.wallet, w.known); err != nil {
			d.Note("name, groups  are left as they are: %v", err)
			w.known = known{}
		}
	}
	return done, done.Opened || ended.Ended > 0 || made || stated, ctx.Err()
}

func (d *desk) project() release.Project {
	return release.Project{Settings: d.settings, Chain: d.Chain, Owner: d.line.Owner, Foreign: d.foreign}
}

// keepProject writes app and order into the files of iExec's command line, where there are
// some, unless a later release is on sale, which they name.
func (d *desk) keepProject(ctx context.Context, c rotation.Change, order poco.SignedAppOrder) (changed bool, err error) {
	if c.Open == nil || d.settings.Project == "" {
		return false, nil
	}
	if c.Later != nil {
		d.Note("project the files in %s are left to %s, which is on sale and later", d.settings.Project, c.Later.Version())
		return false, nil
	}
	names, err := d.project().Write(ctx, c.Open.App, order)
	if len(names) > 0 {
		d.Note("project app and order in %s", strings.Join(names, ", "))
	}
	return len(names) > 0, err
}

// paid says who pays, where that is another than the owner.
func (d *desk) paid() string {
	if d.payer == d.line.Owner {
		return ""
	}
	return ", of the payer " + d.payer.Hex()
}

// confirm reads again, with connections of its own, whether all is as it was to become:
// that alone says that it is done.
func (d *desk) confirm(ctx context.Context, w work) error {
	var fresh release.World
	if _, err := fresh.Connect(ctx, d.settings); err != nil {
		return err
	}
	world := rotation.World{Chain: fresh.Chain, Market: fresh.Market}
	if err := world.Confirm(ctx, d.line.Owner, w.Change); err != nil {
		return fmt.Errorf("reading again what was done: %w", err)
	}
	if err := d.confirmKnown(ctx, fresh.Chain, w.known); err != nil {
		return fmt.Errorf("reading again what was done: %w", err)
	}
	if w.statement != nil {
		return d.confirmStatement(ctx, w.statement)
	}
	return d.confirmRecord(w.Open)
}

// confirmStatement reads again whether a statement is there.
func (d *desk) confirmStatement(ctx context.Context, statement *rotation.Statement) error {
	if statement == nil {
		return nil
	}
	key, err := d.ring.Checker(ctx)
	if err != nil {
		return err
	}
	return statement.Confirm(ctx, d.registry(), key)
}

// confirmRecord reads the file again of the record that has the order.
func (d *desk) confirmRecord(o *rotation.Opening) error {
	if o == nil {
		return nil
	}
	r, err := d.of(o.App.Address)
	if err != nil || r == nil {
		return err
	}
	there, err := release.ReadRecord(r.path)
	if err == nil && there.Order.Hash != o.Hash {
		err = &record.Error{Problem: "in " + r.path + " is not the one that was written", Got: there.Order.Hash.Hex(), Want: o.Hash.Hex()}
	}
	return err
}

// hands are what a change is done with.
type hands struct {
	wallet node.Wallet
	signer signing.Signer // of a statement that is not there yet, else nil
}

// hands opens all that a change needs, and tries what is written after it, before the
// first thing is done that cannot be taken back.
func (d *desk) hands(ctx context.Context, w work) (by hands, err error) {
	if by.signer, err = d.signer(ctx, w.statement); err != nil {
		return by, err
	}
	if w.Open != nil {
		r, err := d.of(w.Open.App.Address)
		if err == nil && r != nil {
			err = release.TryOutput(r.path)
		}
		if err == nil {
			err = release.TryProject(d.settings)
		}
		if err != nil {
			return by, err
		}
	}
	by.wallet, err = d.ring.OpenWallet(ctx)
	return by, err
}

// renew writes the order that is on sale now into the record of its release.
func (d *desk) renew(ctx context.Context, wallet node.Wallet, c rotation.Change) error {
	if c.Open == nil {
		return nil
	}
	r, err := d.of(c.Open.App.Address)
	if err != nil {
		return err
	}
	if r == nil {
		d.Note("no record has order %s: give the release's with --record, and it will", c.Open.Hash)
		return nil
	}
	changed, err := d.Renew(ctx, &r.Record, wallet, *c.Open)
	if err != nil || !changed {
		return err
	}
	d.Note("record  %s has the order", r.path)
	if err := r.WriteFile(r.path); err != nil {
		return err
	}
	if _, err := r.Publish(ctx, d.registry()); err != nil { // who sells may not be who may push
		d.Note("the record beside the image has the order before: %v; mrelease release --version %s puts this one there", err, r.Version)
	}
	return nil
}

// tell tells of a change before it is done.
func (d *desk) tell(c rotation.Change) {
	if o := c.Open; o != nil {
		state := "to be opened"
		if o.There {
			state = "on sale already"
		} else if o.Generation > 0 {
			state = fmt.Sprintf("to be opened, after %s of the same terms that came to an end", printable.Count(o.Generation, "order"))
		}
		d.Note("open    %s of %s: %s", o.Hash, o.Version(), state)
	}
	for _, s := range c.End {
		d.Note("close   %s", s)
	}
	for _, s := range c.Stay {
		d.Note("stays   %s: %s", s.Sale, s.Why)
	}
}
