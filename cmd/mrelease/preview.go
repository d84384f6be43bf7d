package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mrelease/mrelease/publish/chain"
	"github.com/mrelease/mrelease/publish/market"
)

// preview is the end of a dry run: it computes what the writes would lead to,
// and prints the record that would be written.
func (r *release) preview(ctx context.Context) error {
	digest, err := r.image.Digest()
	if err != nil {
		return fmt.Errorf("reading digest: %w", err)
	}
	r.digest = r.tag.Digest(digest.String())
	if err := r.predict(ctx); err != nil {
		return err
	}
	rec, err := r.record()
	if err != nil {
		return err
	}
	r.story.note("dry run: nothing was pushed, signed, registered, offered or written")
	return printJSON(r.stdout, rec)
}

// predict finds the app's address, whether or not the app is there, and signs
// its order.
func (r *release) predict(ctx context.Context) error {
	return r.story.step("predict", func() (string, error) {
		if err := r.chain.CheckEnclave(r.enclave); err != nil {
			return "", err
		}
		app, err := chain.NewApp(r.wallet.Address, r.cfg.appName(), r.tag, r.digest, r.enclave)
		if err != nil {
			return "", err
		}
		r.registration, err = chain.Lookup(ctx, r.chain, app)
		var missing *chain.NoAppError
		if err != nil && !errors.As(err, &missing) {
			return "", err
		}
		order := market.NewOrder(r.chain.Domain(), r.registration.Address, r.cfg.terms())
		r.offering.Hash = order.Hash(r.chain.Domain())
		r.offering.Order, err = market.Sign(r.chain.Domain(), r.wallet, order)
		return "app " + r.registration.Address.Hex() + ", order " + r.offering.Hash.Hex(), err
	})
}
