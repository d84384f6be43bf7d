package release

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// attest makes sure that the key that signed the image says what it was made from, and
// that nothing of that was lost since it was written.
func (r *run) attest(ctx context.Context) (string, error) {
	all, err := r.statements()
	if err != nil {
		return "", err
	}
	if r.place != registry.ByTag {
		made, err := r.Registry.State(ctx, r.image.digest, r.keys.signer, all[1:]...)
		if err != nil {
			return "", err
		}
		r.attested = slices.Contains(made, true)
	}
	evidence := "provenance, " + printable.Count(len(r.origin.Materials), "material")
	if len(all) > 2 {
		evidence += "; reference values, " + r.referenced()
	}
	return r.note("attest", r.attested, evidence), r.Registry.Confirm(ctx, r.image.digest, r.keys.signer, all...)
}

// referenced says which reference values there are.
func (r *run) referenced() string {
	if r.enclave.Signature == nil {
		return "MRENCLAVE"
	}
	return "MRENCLAVE, MRSIGNER, ISVPRODID, ISVSVN, attributes and MISCSELECT"
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
	said, err := r.Registry.Statements(ctx, r.image.digest, r.keys.signer)
	if err != nil {
		return err
	}
	r.origin.KeepCommit(said.Predicates(record.ProvenanceType))
	if err := r.checkMeasured(said); err != nil {
		return err
	}
	return said.Outage()
}

// checkMeasured makes sure that the signer states no other measurement of the image: one
// more would not take its place.
func (r *run) checkMeasured(said registry.Statements) error {
	if r.enclave.Format == measure.None || !r.enclave.known {
		return nil
	}
	return record.CheckMeasured(said, r.image.digest, r.enclave.Enclave)
}

func (r *run) lookForProvenance(ctx context.Context) ([]Finding, error) {
	make := []Finding{{"provenance", ToMake, "the key would attest what the image is made from"}}
	if r.enclave.Format != measure.None {
		make = append(make, Finding{referenceValues, ToMake, "the key would attest what the enclave measures to, as reference values"})
	}
	if r.image.Image == nil {
		return make, nil
	}
	if _, err := r.checker(ctx); err != nil && r.image.found {
		for i := range make {
			make[i].State, make[i].Evidence = Unknown, "whether it is attested: likewise"
		}
		return make, nil
	}
	if err := r.readOrigin(ctx); err != nil || !r.image.found {
		return make, err
	}
	said, err := r.Registry.Statements(ctx, r.image.digest, r.keys.signer)
	if err != nil {
		return nil, err
	}
	provenance, err := r.lookFor(said, r.origin.Provenance(r.Source.Version), make[0], "the key attests what the image is made from, "+printable.Count(len(r.origin.Materials), "material"))
	if err != nil || len(make) == 1 {
		return provenance, err
	}
	if !r.enclave.known {
		return append(provenance, Finding{referenceValues, Unknown, "whether they are attested: the image does not state its measurement"}), nil
	}
	measured, err := record.MeasurementAttestation(r.image.digest, r.enclave.Enclave)
	if err != nil {
		return nil, err
	}
	reference, err := r.lookFor(said, measured, make[1], "the key attests the reference values of the enclave, "+r.referenced())
	return append(provenance, reference...), err
}

// referenceValues are what a quote of the enclave must have, as a thing that a release leaves
// behind.
const referenceValues = record.ReferenceCheck

// lookFor finds a statement, or that it is to be made.
func (r *run) lookFor(said registry.Statements, a registry.Attestation, make Finding, there string) ([]Finding, error) {
	err := said.CheckAttestation(a)
	var unattested *registry.UnattestedError
	if errors.As(err, &unattested) {
		return []Finding{make}, nil
	}
	return []Finding{{make.Name, There, there}}, err
}
