package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// sign signs the image's digest. Where the list of what refers to an image is under a
// tag, the same signer's provenance is written with the signature: some registries let a
// tag be written one time only.
func (r *run) sign(ctx context.Context) (string, error) {
	if err := r.readOrigin(ctx); err != nil {
		return "", err
	}
	all, err := r.statements()
	if err != nil {
		return "", err
	}
	if r.place != registry.ByTag {
		all = all[:1]
	}
	made, err := r.Registry.State(ctx, r.image.digest, r.keys.signer, all...)
	if err != nil {
		return "", err
	}
	r.noteMade(made[1:])
	return r.note("sign", made[0], r.keys.signer.String()), nil
}

// statements are what the signer says about the image, the signature first. An image that
// is its own measurement has no reference values, one that was not scanned no SBOM, and one
// that nobody assessed no VEX document, which is the last.
func (r *run) statements() ([]registry.Attestation, error) {
	all := []registry.Attestation{registry.Signature(), r.origin.Provenance(r.Source.Version)}
	if r.enclave.Format != measure.None {
		measured, err := record.MeasurementAttestation(r.image.digest, r.enclave.Enclave)
		if err != nil {
			return nil, err
		}
		all = append(all, measured)
	}
	if r.image.sbom != nil {
		all = append(all, record.SBOMAttestation(*r.image.sbom))
	}
	if r.image.vex != nil {
		all = append(all, record.VEXAttestation(r.image.vex.Document))
	}
	return all, nil
}

func (r *run) lookForSignature(ctx context.Context) ([]Finding, error) {
	if !r.image.found {
		return []Finding{{"signature", ToMake, "the image would be signed"}}, nil
	}
	signer, err := r.checker(ctx)
	if err != nil {
		return []Finding{{"signature", Unknown, fmt.Sprintf("whether the image is signed: the key cannot be opened (%v)", err)}}, nil
	}
	var unsigned *registry.UnsignedError
	err = r.Registry.CheckSignature(ctx, r.image.digest, signer)
	if errors.As(err, &unsigned) {
		return []Finding{{"signature", ToMake, fmt.Sprintf("the image would be signed with %s", signer)}}, nil
	}
	return []Finding{{"signature", There, fmt.Sprintf("the image is signed with %s", signer)}}, err
}
