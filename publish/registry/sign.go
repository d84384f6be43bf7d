package registry

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"

	"github.com/mrelease/mrelease/publish/registry/signing"
)

// Sign signs an image as cosign does. In its bundle format that is a DSSE envelope
// around an in-toto statement of type https://sigstore.dev/cosign/sign/v1 with
// the image's digest as subject, stored as an OCI 1.1 referrer of the image. A
// signature of the same key that is there already is kept; made tells whether a
// new one was written. What was written is read back and verified.
//
// It takes a digest, so a tag, which may move, cannot be signed.
func (c Client) Sign(ctx context.Context, image name.Digest, signer signing.Signer) (made bool, err error) {
	signed, err := c.State(ctx, image, signer, Signature())
	return len(signed) > 0 && signed[0], err
}

// Signature is the attestation that is a signature: it says no more than that the key
// signed the image.
func Signature() Attestation { return Attestation{cosigntypes.CosignSignPredicateType, struct{}{}} }

// UnsignedError says that an image has no signature of the wanted key.
type UnsignedError struct {
	Image   name.Digest
	Others  int    // bundles that are there but do not verify, or attest something else
	Aside   string // what else is there, see [Statements.Aside]
	Reasons error  // why they do not verify
}

func (e *UnsignedError) Error() string {
	return fmt.Sprintf("%s has no signature of this key", e.Image)
}

// Unwrap returns why the bundles that are there do not verify.
func (e *UnsignedError) Unwrap() error { return e.Reasons }

// Evidence returns what was found instead.
func (e *UnsignedError) Evidence() [][2]string {
	return evidence(e.Image, cosigntypes.CosignSignPredicateType, e.Others, e.Aside, e.Reasons)
}

// evidence is that of a statement that is missing.
func evidence(image name.Digest, predicateType string, others int, aside string, reasons error) [][2]string {
	found := fmt.Sprintf("%d other bundles", others)
	if aside != "" {
		found += "; " + aside
	}
	facts := [][2]string{{"expected", "a bundle of type " + predicateType}, {"actual", found}, {"where", image.String()}}
	if reasons != nil {
		facts = append(facts, [2]string{"because", reasons.Error()})
	}
	return facts
}

// CheckSignature looks among an image's referrers for a signature of the key.
// Attestations by the same key do not count: cosign's own verify takes any of
// them for a signature. Its error is an *UnsignedError when there is none, and an
// *Error when that cannot be told.
func (c Client) CheckSignature(ctx context.Context, image name.Digest, party signing.Party) error {
	s, err := c.Statements(ctx, image, party)
	if err != nil {
		return err
	}
	return s.CheckSignature()
}

// CheckSignature is that of [Client].
func (s Statements) CheckSignature() error {
	found, others := s.of(cosigntypes.CosignSignPredicateType)
	if len(found) > 0 {
		return nil
	}
	if s.outage != nil {
		return s.outage
	}
	return &UnsignedError{s.image, others, s.Aside(), s.reasons}
}
