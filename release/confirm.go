package release

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/rotation"
)

// confirm reads what the release left in the world once more, when all is written, and
// that alone says whether it is done. It asks with connections of its own, so nothing
// counts that an act believed. What is missing is looked for again for some seconds: nodes
// and markets that are many machines show for a while what was before. The record's file
// is read last.
func (r *run) confirm(ctx context.Context) (string, error) {
	rec, err := r.record(ctx)
	if err != nil {
		return "", err
	}
	var late []rotation.Sale
	if err := Patiently(ctx, func() (err error) { late, err = r.look(ctx, rec); return err }); err != nil {
		return "", err
	}
	r.noteEach(late, "is on sale: the market has it as offered after this release's; a further run of the release retires it, or order close")
	if rec.IsPresigned() {
		return "image, signature, provenance, app, order on chain and record, as released; no market has the order", r.checkRecord(rec)
	}
	return "image, signature, provenance, app, order and record, as released", r.checkRecord(rec)
}

// Patiently looks at the world again for some seconds, as long as that ends in an error.
func Patiently(ctx context.Context, look func() error) (err error) {
	for _, wait := range []time.Duration{0, 250 * time.Millisecond, time.Second, 3 * time.Second} {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		if err = look(); err == nil {
			return nil
		}
	}
	return err
}

// UnheldError says which parts of a release the world does not hold, when all was written.
type UnheldError struct{ Checks []record.Check } // that failed

// Error implements error.
func (e *UnheldError) Error() string {
	var texts []string
	for _, c := range e.Checks {
		texts = append(texts, c.Name+": "+strings.ReplaceAll(c.Err.Error(), "\n", "; "))
	}
	return "all was written, and read again this does not hold: " + strings.Join(texts, "; ")
}

// Unwrap returns why.
func (e *UnheldError) Unwrap() (all []error) {
	for _, c := range e.Checks {
		all = append(all, c.Err)
	}
	return all
}

// look reads all at the same time, but for what has to be asked one after the other. Its
// error is an [*UnheldError]. late are the orders of [rotation.Succession.Missed].
func (r *run) look(ctx context.Context, rec record.Record) (late []rotation.Sale, err error) {
	var checks []record.Check
	var tag, old, known, lead error
	var group errgroup.Group
	group.Go(func() error {
		_, tag = r.Source.CheckTag(ctx)
		return nil
	})
	group.Go(func() error {
		fresh := World{Registry: registry.Client{Keychain: r.Registry.Keychain, Layout: r.Registry.Layout}}
		if _, err := fresh.Connect(ctx, r.Settings); err != nil {
			return err
		}
		group.Go(func() error {
			late, old = r.lookForRetired(ctx, rotation.World{Chain: fresh.Chain, Market: fresh.Market})
			return nil
		})
		group.Go(func() error {
			known, lead = r.confirmGroups(ctx, fresh.Chain), r.confirmName(ctx, fresh.Chain)
			return nil
		})
		checks = record.Standing(ctx, record.World{Registry: fresh.Registry, Chain: fresh.Chain, Market: fresh.Market, Party: r.keys.signer}, rec, r.attestedVEX()...)
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return late, unheld(append(checks, record.Check{Name: "groups", Err: known}, record.Check{Name: "ens name", Err: lead}, record.Check{Name: "old orders", Err: old}, record.Check{Name: "git tag", Err: tag}))
}

func unheld(checks []record.Check) error {
	e := &UnheldError{slices.DeleteFunc(checks, func(c record.Check) bool { return c.Err == nil })}
	if len(e.Checks) == 0 {
		return nil
	}
	return e
}

// lookForRetired asks chain and market whether what this release takes the place of is on
// sale still; late is what was offered meanwhile.
func (r *run) lookForRetired(ctx context.Context, w rotation.World) (late []rotation.Sale, err error) {
	s, err := w.Succession(ctx, r.ended)
	missed, late := s.Missed(r.ended, w.Chain.Domain())
	if left, _ := r.approved(missed); err == nil && len(left) > 0 {
		err = &rotation.UnretiredError{Sales: left, Chain: w.Chain.Name}
	}
	return late, err
}

// checkRecord reads the record's file, which must be the one that was written.
func (r *run) checkRecord(rec record.Record) error {
	path := string(r.Settings.Record)
	there, err := record.ReadFile(path)
	if err == nil && (there.Order.Hash != rec.Order.Hash || !bytes.Equal(there.Signature, rec.Signature)) { // one of which is of all that is in it
		err = &record.Error{Problem: "in " + path + " is not the one that was written", Got: there.Order.Hash.Hex(), Want: rec.Order.Hash.Hex()}
	}
	return unheld([]record.Check{{Name: "record", Err: err}})
}
