package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/mrelease/mrelease/publish/registry/signing"
)

// patience are the waits between reading back what was written: some registries show
// for a while what was there before.
func patience() []time.Duration {
	return []time.Duration{0, 100 * time.Millisecond, 400 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}
}

// State makes sure that a party states all of these about an image. What it states
// already is kept; made tells of each whether it was written. All that are missing are
// written at once, as far as the layout allows, because some registries let a tag be
// written one time only. Then all are read back, until they are there together: a list
// that was read too early, or that another run wrote meanwhile, is mended.
//
// Errors: *Error.
func (c Client) State(ctx context.Context, image name.Digest, signer signing.Signer, all ...Attestation) (made []bool, err error) {
	in, err := c.session(ctx, image.Repository, transport.PushScope)
	if err != nil {
		return nil, failed("looking at", image, err)
	}
	w := writer{c.shelf(in, image, c.written()), image, signer, signer, new(Statements)}
	missing, err := w.missing(ctx, all)
	if err != nil {
		return nil, err
	}
	made = make([]bool, len(all))
	var signed []kept
	for _, i := range missing {
		one, err := w.sign(ctx, all[i])
		if err != nil {
			return nil, err
		}
		signed, made[i] = append(signed, one), true
	}
	if len(missing) == 0 {
		return made, nil
	}
	if err := w.add(ctx, signed); err != nil {
		return nil, failed("pushing statements about", image, err)
	}
	return made, w.readBack(ctx, 1, all, signed)
}

// writer writes statements of a party.
type writer struct {
	shelf
	image  name.Digest
	party  signing.Party
	signer signing.Signer // nil for who only looks
	said   *Statements    // of the last look
}

// missing returns which of the attestations are not there. Its error says that it
// cannot be told.
func (w writer) missing(ctx context.Context, all []Attestation) (missing []int, err error) {
	said := Statements{image: w.image}
	if err := w.read(ctx, w.party, &said); err != nil {
		return nil, failed("listing statements about", w.image, err)
	}
	*w.said = said
	for i, a := range all {
		err := said.check(a)
		var unattested *UnattestedError
		var unsigned *UnsignedError
		switch {
		case errors.As(err, &unattested), errors.As(err, &unsigned):
			missing = append(missing, i)
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}

func (w writer) sign(ctx context.Context, a Attestation) (kept, error) {
	said, data, err := encode(w.image, a)
	if err != nil {
		return kept{}, fmt.Errorf("encoding statement: %w", err)
	}
	signed, err := w.shelf.sign(ctx, w.signer, said, data)
	if err != nil {
		return kept{}, fmt.Errorf("signing statement about %s: %w", w.image, err)
	}
	return signed, nil
}

// Confirm waits until a party is seen to state all of these about an image, in two looks
// one after the other; and that what found them refuses others: see [Statements.Control].
//
// Errors: *UnkeptError when they are not listed, *ControlError, *Error.
func (c Client) Confirm(ctx context.Context, image name.Digest, party signing.Party, all ...Attestation) error {
	in, err := c.session(ctx, image.Repository, transport.PushScope)
	if err != nil {
		return failed("looking at", image, err)
	}
	w := writer{c.shelf(in, image, c.written()), image, party, nil, new(Statements)}
	if err := w.readBack(ctx, 2, all, nil); err != nil {
		return err
	}
	return w.said.Control(party)
}

// readBack waits until all attestations are there, and adds what was signed again when
// something is missing for longer. A registry may be many machines, of which each shows
// for a while what was there before: so all may have to be there in several looks.
func (w writer) readBack(ctx context.Context, looks int, all []Attestation, signed []kept) error {
	var missing []int
	var last error
	for try, wait := range patience() {
		select {
		case <-ctx.Done():
			return failed("reading back", w.image, ctx.Err())
		case <-time.After(wait):
		}
		missing, last = w.missing(ctx, all)
		for more := looks - 1; more > 0 && last == nil && len(missing) == 0; more-- {
			missing, last = w.missing(ctx, all)
		}
		switch {
		case last == nil && len(missing) == 0:
			return nil
		case last == nil && try > 0 && signed != nil:
			last = w.add(ctx, signed)
		}
	}
	if last != nil {
		return failed("reading back", w.image, last)
	}
	return &UnkeptError{w.image.Repository, fmt.Sprintf("of %d statements about the image that it took, it does not list %d", len(all), len(missing))}
}
