package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// attest makes sure that the key that signed the image says what it was made from, and
// that nothing of that was lost since it was written.
func (r *run) attest(ctx context.Context) (string, error) {
	all := r.statements()
	if r.place != registry.ByTag {
		made, err := r.Registry.State(ctx, r.image.digest, r.keys.signer, all[1])
		if err != nil {
			return "", err
		}
		r.attested = made[0]
	}
	err := r.Registry.Confirm(ctx, r.image.digest, r.keys.signer, all...)
	return r.note("attest", r.attested, "provenance, "+printable.Count(len(r.origin.Materials), "material")), err
}

// readOrigin finds out what the image was made from: what only the machine that
// built it knew, from the image; the commit of an image that an earlier run made,
// from what that run attested.
func (r *run) readOrigin(ctx context.Context) error {
	r.origin = record.Source{Commit: r.Source.Commit.Hash, Dirty: r.Source.Dirty(), Epoch: r.Source.Created.Unix(), Inputs: r.inputs}
	manifest, err := r.image.Manifest()
	if err != nil {
		return fmt.Errorf("reading manifest: %w", err)
	}
	if err := r.origin.ReadAnnotations(manifest.Annotations); err != nil || !r.image.found {
		return err
	}
	attested, err := r.Registry.Attestations(ctx, r.image.digest, r.keys.signer, record.ProvenanceType)
	r.origin.KeepCommit(attested)
	return err
}

func (r *run) lookForProvenance(ctx context.Context) ([]Finding, error) {
	make := []Finding{{"provenance", ToMake, "the key would attest what the image is made from"}}
	if r.image.Image == nil {
		return make, nil
	}
	if _, err := r.checker(ctx); err != nil && r.image.found {
		return []Finding{{"provenance", Unknown, "whether it is attested: likewise"}}, nil
	}
	if err := r.readOrigin(ctx); err != nil || !r.image.found {
		return make, err
	}
	err := r.Registry.CheckAttestation(ctx, r.image.digest, r.keys.signer, r.origin.Provenance(r.Source.Version))
	var unattested *registry.UnattestedError
	if errors.As(err, &unattested) {
		return make, nil
	}
	return []Finding{{"provenance", There, "the key attests what the image is made from, " + printable.Count(len(r.origin.Materials), "material")}}, err
}
