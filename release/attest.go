package release

import (
	"context"
	"errors"
	"fmt"

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
		r.noteMade(made)
	}
	evidence := "provenance, " + printable.Count(len(r.origin.Materials), "material")
	if r.enclave.Format != measure.None {
		evidence += "; reference values, " + r.referenced()
	}
	if r.image.sbom != nil {
		evidence += "; SBOM " + r.image.sbom.Digest().String()
	}
	evidence += r.image.vex.evidence()
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
	r.origin = record.Source{Commit: r.Source.Commit.Hash, Dirty: r.Source.Dirty(), Epoch: r.Source.Created.Unix(), Inputs: r.inputs, Cache: r.cache()}
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
	if err := r.keepListed(said); err != nil {
		return err
	}
	if err := r.checkNewer(said); err != nil {
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
	if r.Settings.Attest.SBOM != "" {
		make = append(make, Finding{record.SBOMCheck, ToMake, "the key would attest what " + r.scanner().Name() + " lists of the image"})
	}
	if r.image.vex != nil {
		make = append(make, Finding{record.VEXCheck, ToMake, "the key would attest the VEX document " + r.image.vex.String()})
	}
	if r.image.Image == nil {
		return make, nil
	}
	if err := r.checkVEX(); err != nil {
		return nil, err
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
	for i, f := range make {
		if make[i], err = r.lookForStatement(said, f); err != nil {
			return nil, err
		}
	}
	return make, nil
}

// lookForStatement finds a statement that would be made among those that are there.
func (r *run) lookForStatement(said registry.Statements, f Finding) (Finding, error) {
	switch f.Name {
	case referenceValues:
		if !r.enclave.known {
			return Finding{referenceValues, Unknown, "whether they are attested: the image does not state its measurement"}, nil
		}
		measured, err := record.MeasurementAttestation(r.image.digest, r.enclave.Enclave)
		if err != nil {
			return f, err
		}
		return lookFor(said, measured, f, "the key attests the reference values of the enclave, "+r.referenced())
	case record.SBOMCheck:
		if r.image.sbom == nil {
			return f, nil
		}
		return lookFor(said, record.SBOMAttestation(*r.image.sbom), f, "the key attests what "+r.scanner().Name()+" lists of the image, "+r.image.sbom.Digest().String())
	case record.VEXCheck:
		return lookFor(said, record.VEXAttestation(r.image.vex.Document), f, "the key attests the VEX document "+r.image.vex.String())
	}
	return lookFor(said, r.origin.Provenance(r.Source.Version), f, "the key attests what the image is made from, "+printable.Count(len(r.origin.Materials), "material"))
}

// referenceValues are what a quote of the enclave must have, as a thing that a release leaves
// behind.
const referenceValues = record.ReferenceCheck

// lookFor finds a statement, or that it is to be made.
func lookFor(said registry.Statements, a registry.Attestation, make Finding, there string) (Finding, error) {
	err := said.CheckAttestation(a)
	var unattested *registry.UnattestedError
	if errors.As(err, &unattested) {
		return make, nil
	}
	return Finding{make.Name, There, there}, err
}
