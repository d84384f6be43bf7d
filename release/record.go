package release

import (
	"context"
	"fmt"

	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
)

// writeRecord writes what was found or made, signed by the app's owner if that has a key,
// into a file and beside the image, where whoever has the app's address finds it. Every run
// of a release writes the same: what the wallet signed in an earlier one it does not sign
// again.
func (r *run) writeRecord(ctx context.Context) (string, error) {
	rec, err := r.unsigned(ctx)
	if err != nil {
		return "", err
	}
	if !rec.IsPresigned() {
		if err := rec.Recall(ctx, r.Registry, r.keys.wallet); err != nil {
			return "", err
		}
		if err := rec.Sign(ctx, r.keys.wallet); err != nil {
			return "", err
		}
	}
	path := string(r.Settings.Record)
	if err := rec.WriteFile(path); err != nil {
		return "", err
	}
	if err := rec.Control(); err != nil {
		return "", err
	}
	made, err := rec.Publish(ctx, r.Registry)
	return r.note("record", made, path+", and beside the image"), err
}

func (r *run) record(ctx context.Context) (record.Record, error) {
	rec, err := r.unsigned(ctx)
	if err != nil {
		return record.Record{}, err
	}
	if rec.IsPresigned() {
		return rec, nil
	}
	return rec, rec.Sign(ctx, r.keys.wallet)
}

// unsigned is the record without the owner's signature of it; of an owner without a key as it
// is.
func (r *run) unsigned(ctx context.Context) (record.Record, error) {
	digest, err := r.image.Digest()
	if err != nil {
		return record.Record{}, fmt.Errorf("reading digest: %w", err)
	}
	config, err := r.image.ConfigName()
	if err != nil {
		return record.Record{}, fmt.Errorf("reading config digest: %w", err)
	}
	who, err := r.keys.signer.Who()
	if err != nil {
		return record.Record{}, fmt.Errorf("naming the signer: %w", err)
	}
	rec := record.Record{
		Schema:  record.Schema,
		Version: r.Source.Version,
		Source:  r.origin,
		Image:   record.Image{Reference: r.tag.Name(), Digest: digest, Config: config, PublicKey: who.PublicKey, Identity: who.Identity},
		Enclave: record.NewEnclave(r.enclave.Enclave, r.Settings.Enclave.Spec()),
		SBOM:    r.listed(),
		App:     record.NewApp(r.Chain, r.registration),
		Canary:  r.proof,
	}
	if r.Settings.Wallet.IsSafe() {
		rec.Order.Signed.AppOrder = r.Settings.Order.Terms().Unsalted(r.registration.Address)
		return rec, rec.Commit()
	}
	signed, err := orders.Sign(ctx, r.Chain.Domain(), r.keys.wallet, r.order())
	rec.Order = record.Order{Hash: signed.Hash(r.Chain.Domain()), Signed: signed}
	return rec, err
}
