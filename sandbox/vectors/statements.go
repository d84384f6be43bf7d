package vectors

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/sbom"
	"github.com/mrelease/mrelease/vex"
)

// statements are the releases of which more is stated than signature and provenance.
func statements() []happened {
	measured := plan{enclave: enclave(1)}
	return []happened{
		{"8.4", "an enclave whose reference values are attested", measured, also(ours, measurement(1)), unmeasuredOnly()},
		{"8.4", "reference values of another measurement", measured, also(ours, measurement(2)), refused(12, badReference, record.ReferenceCheck)},
		{"8.4", "reference values, and others beside", measured, also(ours, measurement(1), measurement(2)), refused(12, badReference, record.ReferenceCheck)},
		{"8.4", "reference values that say another thing in their CoRIM", measured, also(ours, contradiction), refused(12, badReference, record.ReferenceCheck)},
		{"8.4", "reference values, and a stranger's others", measured, both(also(ours, measurement(1)), also(theirs, measurement(2))), unmeasuredOnly()},
		{"8.5", "an enclave without reference values", measured, nil, unmeasuredOnly()},
		{"8.5", "an enclave with a stranger's reference values", measured, also(theirs, measurement(1)), unmeasuredOnly()},

		{"8.6", "an SBOM that the record names", plan{}, both(named("a", "1"), also(ours, listing("a"))), accepted()},
		{"8.6", "an SBOM that the record names, and another beside", plan{}, both(named("a", "1"), also(ours, listing("b"), listing("a"))), accepted()},
		{"8.6", "an SBOM that the record does not name", plan{}, also(ours, listing("a")), accepted()},
		{"8.6", "an SBOM that is not there", plan{}, named("a", "1"), refused(12, badSBOM, record.SBOMCheck)},
		{"8.6", "an SBOM in the place of the record's", plan{}, both(named("a", "1"), also(ours, listing("b"))), refused(12, badSBOM, record.SBOMCheck)},
		{"8.6", "an SBOM by a stranger in the place of the signer's", plan{}, both(named("a", "1"), also(theirs, listing("a"))), refused(12, badSBOM, record.SBOMCheck)},
		{"8.6", "an SBOM of another scanner than the record names", plan{}, both(named("a", "2"), also(ours, listing("a"))), refused(12, badSBOM, record.SBOMCheck)},

		{"8.7", "a VEX document", plan{}, also(ours, assessing(vex.Type, vex.Context, 1, "CVE-2026-1")), accepted()},
		{"8.7", "a VEX document as other tools attest it", plan{}, also(ours, assessing(vex.Context, vex.Context, 1, "CVE-2026-1")), accepted()},
		{"8.7", "two versions of a VEX document", plan{}, also(ours, assessing(vex.Type, vex.Context, 1, "CVE-2026-1"), assessing(vex.Type, vex.Context, 2, "CVE-2026-2")), accepted()},
		{"8.7", "a VEX document twice in one version", plan{}, also(ours, assessing(vex.Type, vex.Context, 1, "CVE-2026-1"), assessing(vex.Type, vex.Context, 1, "CVE-2026-2")), refused(12, badVEX, record.VEXCheck)},
		{"8.7", "a VEX document without a version", plan{}, also(ours, assessing(vex.Type, vex.Context, 0, "CVE-2026-1")), refused(12, badVEX, record.VEXCheck)},
		{"8.7", "a VEX document of a version of OpenVEX to come", plan{}, also(ours, assessing(vex.Type, vex.Type+"/v9.0.0", 1, "CVE-2026-1")), incomplete()},
		{"8.7", "a malformed VEX document by a stranger", plan{}, also(theirs, assessing(vex.Type, vex.Context, 0, "CVE-2026-1")), accepted()},
	}
}

// happening is what happens to a release after it was made.
type happening = func(context.Context, *maker, *released) error

func both(first, second happening) happening {
	return func(ctx context.Context, m *maker, r *released) error {
		if err := first(ctx, m, r); err != nil {
			return err
		}
		return second(ctx, m, r)
	}
}

// also has somebody attest more of the image.
func also(by signer, all ...func(*released) (registry.Attestation, error)) happening {
	return func(ctx context.Context, m *maker, r *released) error {
		for _, state := range all {
			a, err := state(r)
			if err != nil {
				return err
			}
			if _, err := (registry.Client{}).Attest(ctx, r.image, by(m), a); err != nil {
				return err
			}
		}
		return nil
	}
}

// enclave is one that measured to a digit, by the word of its image.
func enclave(digit byte) measure.Enclave {
	mrenclave := measure.MRENCLAVE{digit}
	return measure.Enclave{
		Format: measure.Legacy, MRENCLAVE: mrenclave, Value: measure.Fingerprint{MRENCLAVE: mrenclave}.String(),
		Basis: measure.Basis{Trust: measure.TrustStated},
	}
}

func measurement(digit byte) func(*released) (registry.Attestation, error) {
	return func(r *released) (registry.Attestation, error) {
		return record.MeasurementAttestation(r.image, enclave(digit))
	}
}

// contradiction has the values of one measurement and the CoRIM of another.
func contradiction(r *released) (registry.Attestation, error) {
	values, err := record.NewMeasurement(r.image, record.ReferenceOf(enclave(1)))
	if err != nil {
		return registry.Attestation{}, err
	}
	other, err := record.NewMeasurement(r.image, record.ReferenceOf(enclave(2)))
	values.CoRIM = other.CoRIM
	return registry.Attestation{Type: record.MeasurementType, Predicate: values}, err
}

// named has the record name the SBOM of a package, and a scanner.
func named(pack, by string) happening {
	return func(ctx context.Context, _ *maker, r *released) error {
		d, err := document(pack)
		if err != nil {
			return err
		}
		r.SBOM = record.NewSBOM(d, scanner(by))
		return r.Sign(ctx, r.owner)
	}
}

// scanner is an image, by a digit of its digest.
func scanner(digit string) record.Material {
	return record.Material{URI: "docker-image://registry.example/scanner", Digest: record.Digest{Hash: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(digit, 64)}}}
}

// document is what a scanner lists of an image with one package.
func document(pack string) (sbom.Document, error) {
	written := fmt.Sprintf(`{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"sbom","documentNamespace":"https://example.com/sbom",
		"creationInfo":{"created":"2026-01-01T00:00:00Z","creators":["Tool: scanner"]},"packages":[{"name":%q,"SPDXID":"SPDXRef-Package","downloadLocation":"NOASSERTION"}]}`, pack)
	return sbom.Normalise([]byte(written), time.Unix(1, 0), scanner("1").Name())
}

func listing(pack string) func(*released) (registry.Attestation, error) {
	return func(*released) (registry.Attestation, error) {
		d, err := document(pack)
		return record.SBOMAttestation(d), err
	}
}

// assessing states a VEX document; one of version 0 has none.
func assessing(predicate, context string, version int, vulnerability string) func(*released) (registry.Attestation, error) {
	said := map[string]any{
		"@context": context, "@id": "https://example.com/vex/1", "author": "Acme", "timestamp": "2026-01-31T12:00:00Z", "version": version,
		"statements": []any{map[string]any{"vulnerability": map[string]string{"name": vulnerability}, "status": vex.Fixed}},
	}
	return func(*released) (registry.Attestation, error) {
		raw, err := json.Marshal(said)
		return registry.Attestation{Type: predicate, Predicate: json.RawMessage(raw)}, err
	}
}
