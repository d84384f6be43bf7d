package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	rec, err := r.record()
	if err != nil {
		return "", err
	}
	if err := Patiently(ctx, func() error { return r.look(ctx, rec) }); err != nil {
		return "", err
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
type UnheldError struct {
	Parts []string // names of checks
	Err   error    // why
}

// Error implements error.
func (e *UnheldError) Error() string {
	return fmt.Sprintf("all was written, and read again this does not hold: %s: %s", strings.Join(e.Parts, ", "), strings.ReplaceAll(e.Err.Error(), "\n", "; "))
}

// Unwrap returns why.
func (e *UnheldError) Unwrap() error { return e.Err }

// look reads all at the same time, but for what has to be asked one after the other. Its
// error is an [*UnheldError].
func (r *run) look(ctx context.Context, rec record.Record) error {
	var checks []record.Check
	var tag, old error
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
			old = r.lookForRetired(ctx, rotation.World{Chain: fresh.Chain, Market: fresh.Market})
			return nil
		})
		checks = record.Standing(ctx, record.World{Registry: fresh.Registry, Chain: fresh.Chain, Market: fresh.Market, Party: r.keys.signer}, rec)
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return unheld(append(checks, record.Check{Name: "old orders", Err: old}, record.Check{Name: "git tag", Err: tag}))
}

func unheld(checks []record.Check) error {
	var parts []string
	var errs []error
	for _, c := range checks {
		if c.Err != nil {
			parts, errs = append(parts, c.Name), append(errs, c.Err)
		}
	}
	if errs == nil {
		return nil
	}
	return &UnheldError{parts, errors.Join(errs...)}
}

// lookForRetired asks chain and market whether what this release takes the place of is on
// sale still.
func (r *run) lookForRetired(ctx context.Context, w rotation.World) error {
	s, err := w.Succession(ctx, r.ended)
	if left, _ := r.approved(s.Retire); err == nil && len(left) > 0 {
		err = &rotation.UnretiredError{Sales: left, Chain: w.Chain.Name}
	}
	return err
}

// checkRecord reads the record's file, which must be the one that was written.
func (r *run) checkRecord(rec record.Record) error {
	path := string(r.Settings.Record)
	there, err := record.ReadFile(path)
	if err != nil {
		return &UnheldError{[]string{"record"}, err}
	}
	got, err := json.Marshal(there)
	if err != nil {
		return fmt.Errorf("encoding record: %w", err)
	}
	want, err := json.Marshal(rec)
	if err == nil && string(got) != string(want) {
		err = &UnheldError{[]string{"record"}, &record.Error{Problem: "in " + path + " is not the one that was written", Got: there.Order.Hash.Hex(), Want: rec.Order.Hash.Hex()}}
	}
	return err
}
