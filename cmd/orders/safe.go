package orders

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/batch"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/rotation"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

// The commands that do something for the orders of a contract.
const (
	closeCommand    = "mrelease order close"
	rollbackCommand = "mrelease rollback"
	revokeCommand   = "mrelease revoke"
)

func forContracts() []string { return []string{closeCommand, rollbackCommand, revokeCommand} }

// unsupported says of a command that it does nothing for them.
func unsupported(command string) error {
	return &settings.Error{Problems: []settings.Problem{{
		Where: "wallet.safe",
		Text:  command + " does nothing for apps that a contract owns: no market has their orders",
		Cure:  closeCommand + " HASH --record FILE asks the contract to end a sale, as the release of a later version does by itself, and " + rollbackCommand + " VERSION to sell a release again",
	}}}
}

// shelf is where the contract's orders are found.
func (d *desk) shelf() rotation.Shelf {
	return rotation.Shelf{
		World: record.World{Registry: d.registry(), Chain: d.Chain}, Repository: d.settings.Image.Repository,
		Tell: func(text string) { d.Note("%s", text) },
	}
}

// rollbackPresigned finds what the contract has to call so that a release is on sale again.
// Its record is what the new order names, as the one before did; so nothing of it changes but
// the order's salt, and each machine writes the same.
func (d *desk) rollbackPresigned(ctx context.Context, to apps.Registration) (w work, err error) {
	rec, err := d.recordOf(ctx, to)
	if err != nil {
		return w, err
	}
	o := rotation.Opening{App: to}
	if o.Generation, o.There, err = rec.Reopen(ctx, d.Chain); err != nil {
		return w, err
	}
	o.Order, o.Hash = rec.Order.Signed.AppOrder, rec.Order.Hash
	known, err := d.shelf().Line(ctx, d.line)
	if err != nil {
		return w, err
	}
	w.vouched = &rec
	w.Change, err = d.RollbackPresigned(ctx, d.line, o, rotation.Presigned(d.Chain.Domain(), d.line.Owner, known))
	return w, err
}

// recordOf returns a release's record: the one that was given, else that beside its image by
// which the contract sold it. Of several under other terms it is the one under the terms of now.
func (d *desk) recordOf(ctx context.Context, app apps.Registration) (record.Record, error) {
	given, err := d.of(app.Address)
	if err != nil {
		return record.Record{}, err
	}
	if given != nil {
		return given.Record, nil
	}
	found, err := d.shelf().Of(ctx, app)
	if err != nil {
		return record.Record{}, err
	}
	var all []record.Record // each content once, whatever the generation of its order
	seen := map[[32]byte]bool{}
	for _, r := range found {
		if err := r.Commit(); err != nil {
			return record.Record{}, err
		}
		if !seen[r.Order.Hash] {
			seen[r.Order.Hash] = true
			all = append(all, r)
		}
	}
	if len(all) > 1 {
		all = slices.DeleteFunc(all, func(r record.Record) bool {
			return orders.TermsOf(r.Order.Signed.AppOrder) != d.settings.Order.Terms()
		})
	}
	switch {
	case len(found) == 0:
		image, err := record.ImageOf(app.App)
		if err != nil {
			return record.Record{}, err
		}
		return record.Record{}, &record.UnrecordedError{App: app.Address, Image: image, Owner: d.line.Owner, Aside: "none whose order it presigned"}
	case len(all) != 1:
		return record.Record{}, usage.Errorf(rollbackCommand, "the owner sold %s by %s, and not one of them is under the terms of the configuration: name one with --record", printable.Text(apps.Version(app.App)), printable.Count(len(found), "record"))
	}
	return all[0], nil
}

// askSafe does what the contract's keyless part is not needed for, and has the contract do the
// rest by a file for its interface. The file is the same each time, and has no time of its own.
func (d *desk) askSafe(ctx context.Context, w work, answer *changeAnswer) error {
	answer.fill(w, node.Cost{}, 0)
	b, err := d.batch(w)
	if err != nil {
		return err
	}
	if d.dryRun {
		d.Note("dry run: nothing was changed")
		return nil
	}
	kept, err := d.withoutSafe(ctx, w)
	if err != nil {
		return err
	}
	if len(b.Calls) > 0 {
		return release.AskSafe(b, d.settings)
	}
	written, err := d.renewVouched(w)
	if err != nil {
		return err
	}
	if answer.Changed = kept || written; !answer.Changed {
		d.Note("nothing was changed: all of it was so already")
	}
	return release.Patiently(ctx, func() error { return d.confirmSafe(ctx, w) })
}

// withoutSafe does what the contract is not needed for: the record beside the image, and the
// statement of who signed the image, which warns before the contract's owners come together.
func (d *desk) withoutSafe(ctx context.Context, w work) (changed bool, err error) {
	signer, err := d.signer(ctx, w.statement)
	if err == nil {
		err = release.TryOutput(d.settings.Apps.Output("safe.json"))
	}
	if err != nil {
		return false, err
	}
	kept, err := d.keepRecord(ctx, w)
	if err != nil {
		return false, err
	}
	stated, err := d.state(ctx, w.statement, signer)
	return kept || stated, err
}

// revocationPresigned finds by which orders the contract sells a release, or may yet.
func (d *desk) revocationPresigned(ctx context.Context, app apps.Registration) (rotation.Change, error) {
	beside, err := d.shelf().All(ctx, app)
	if err != nil {
		return rotation.Change{}, err
	}
	return d.RevokePresigned(ctx, d.line.Owner, app, slices.Concat(d.all(), beside))
}

// batch are the calls, of which the opening is the first, so that there is always something
// on sale.
func (d *desk) batch(w work) (batch.Batch, error) {
	b := batch.Batch{Chain: d.Chain.Chain, Caller: d.line.Owner, Time: time.Unix(0, 0), Name: "end the sale of apps"}
	if o := w.Open; o != nil {
		version := printable.Text(o.Version())
		b.Name = fmt.Sprintf("sell %s %s again", d.line.Name, version)
		if !o.There {
			c, err := batch.Presign(o.Order, fmt.Sprintf("presign order %s of %s", o.Hash, version))
			if err != nil {
				return b, err
			}
			b.Calls = append(b.Calls, c)
		}
	}
	if w.statement != nil {
		b.Name = fmt.Sprintf("withdraw %s %s", d.line.Name, printable.Text(w.statement.Version))
	}
	for _, sale := range w.End {
		if sale.Left.Sign() <= 0 {
			continue
		}
		c, err := batch.Close(sale.Order.AppOrder, fmt.Sprintf("close order %s of %s", sale.Hash, printable.Text(sale.Version())))
		if err != nil {
			return b, err
		}
		b.Calls = append(b.Calls, c)
	}
	return b, nil
}

// keepRecord puts the record that the order names beside the image, before it counts: it is
// all that has the order.
func (d *desk) keepRecord(ctx context.Context, w work) (made bool, err error) {
	if w.vouched == nil {
		return false, nil
	}
	r, err := d.of(w.Open.App.Address)
	if err == nil && r != nil {
		err = release.TryOutput(r.path) // it is written once the order is on sale
	}
	if err != nil {
		return false, err
	}
	made, err = w.vouched.Publish(ctx, d.registry())
	if err == nil && made {
		d.Note("record  of %s has the order, beside the image", w.Open.Version())
	}
	return made, err
}

// renewVouched writes that record into the file that was given, once its order is on sale.
func (d *desk) renewVouched(w work) (written bool, err error) {
	if w.vouched == nil {
		return false, nil
	}
	r, err := d.of(w.Open.App.Address)
	if err != nil || r == nil || r.Order.Hash == w.Open.Hash {
		return false, err
	}
	r.Record = *w.vouched
	if err := r.WriteFile(r.path); err != nil {
		return false, err
	}
	d.Note("record  %s has the order", r.path)
	return true, nil
}

// confirmSafe reads again, with connections of its own, whether all is as it was to become.
func (d *desk) confirmSafe(ctx context.Context, w work) error {
	var fresh release.World
	if _, err := fresh.Connect(ctx, d.settings); err != nil {
		return err
	}
	if err := (rotation.World{Chain: fresh.Chain, Market: fresh.Market}).ConfirmPresigned(ctx, d.line.Owner, w.Change); err != nil {
		return fmt.Errorf("reading again what was done: %w", err)
	}
	if w.vouched == nil {
		return d.confirmStatement(ctx, w.statement)
	}
	beside, aside, err := record.Presigned(ctx, record.World{Registry: d.registry(), Chain: fresh.Chain}, w.Open.App)
	if err != nil {
		return fmt.Errorf("reading again what was done: %w", err)
	}
	if !slices.ContainsFunc(beside, func(r record.Record) bool { return r.Order.Hash == w.Open.Hash }) {
		image, err := record.ImageOf(w.Open.App.App)
		if err != nil {
			return err
		}
		return &record.UnrecordedError{App: w.Open.App.Address, Image: image, Owner: d.line.Owner, Aside: aside}
	}
	return d.confirmRecord(w.Open)
}
