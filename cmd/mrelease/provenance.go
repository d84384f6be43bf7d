package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// attest lets the key that signed the image say what it was made from.
func (r *release) attest(ctx context.Context) error {
	return r.story.step("attest", func() (evidence string, err error) {
		r.attested, err = r.registry.Attest(ctx, r.digest, r.key, r.from.Provenance(r.source.Version))
		return r.made(r.attested, fmt.Sprintf("provenance, %d materials", len(r.from.Materials))), err
	})
}

// readOrigin finds out what the image was made from: what only the machine that
// built it knew, from the image; the commit of an image that an earlier run made,
// from what that run attested.
func (r *release) readOrigin(ctx context.Context) error {
	r.from = record.Source{Commit: r.commit(), Epoch: r.source.Created.Unix(), Inputs: r.inputs}
	manifest, err := r.image.Manifest()
	if err != nil {
		return fmt.Errorf("reading manifest: %w", err)
	}
	if err := r.from.ReadAnnotations(manifest.Annotations); err != nil || !r.found {
		return err
	}
	digest, err := r.image.Digest()
	if err != nil {
		return fmt.Errorf("reading digest: %w", err)
	}
	attested, err := r.registry.Attestations(ctx, r.tag.Digest(digest.String()), r.key.PublicKey, record.ProvenanceType)
	r.from.KeepCommit(attested)
	return err
}

// findProvenance looks for the attestation that a release would make.
func (p *planner) findProvenance(ctx context.Context, key *registry.Key) error {
	r := release{source: p.source, tag: p.tag, registry: p.registry, keyring: keyring{key: key}, inputs: p.inputs, found: true, image: p.image}
	if err := r.readOrigin(ctx); err != nil {
		return err
	}
	err := p.registry.CheckAttestation(ctx, p.tag.Digest(p.answer.Digest), key.PublicKey, r.from.Provenance(p.source.Version))
	var unattested *registry.UnattestedError
	if errors.As(err, &unattested) {
		p.step("provenance", toMake, "the key would attest what the image is made from")
		return nil
	}
	if err == nil {
		p.step("provenance", isThere, "the key attests what the image is made from, %d materials", len(r.from.Materials))
	}
	return err
}

// commit is the commit that the image was built from; none when the context
// was changed since.
func (r *release) commit() string {
	if len(r.source.Commit.Dirty) > 0 {
		return ""
	}
	return r.source.Commit.Hash
}
