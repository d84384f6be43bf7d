package registry

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"
)

// Sign signs an image as cosign does in its bundle format: a DSSE envelope
// around an in-toto statement of type https://sigstore.dev/cosign/sign/v1 with
// the image's digest as subject, stored as an OCI 1.1 referrer of the image. A
// signature of the same key that is there already is kept; made tells whether a
// new one was written. What was written is read back and verified.
//
// It takes a digest, so a tag, which may move, cannot be signed.
func (c Client) Sign(ctx context.Context, image name.Digest, key *Key) (made bool, err error) {
	signature := Attestation{cosigntypes.CosignSignPredicateType, struct{}{}}
	return once[*UnsignedError](
		func() error { return c.CheckSignature(ctx, image, key.PublicKey) },
		func() error { return c.write(ctx, image, key, signature) })
}

// UnsignedError says that an image has no signature of the wanted key.
type UnsignedError struct {
	Image   name.Digest
	Others  int   // bundles that are there but do not verify, or attest something else
	Reasons error // why they do not verify
}

func (e *UnsignedError) Error() string {
	return fmt.Sprintf("%s has no signature of this key", e.Image)
}

// Unwrap returns why the bundles that are there do not verify.
func (e *UnsignedError) Unwrap() error { return e.Reasons }

// Evidence returns what was found instead.
func (e *UnsignedError) Evidence() [][2]string {
	facts := [][2]string{{"expected", "a bundle of type " + cosigntypes.CosignSignPredicateType}, {"actual", fmt.Sprintf("%d other bundles", e.Others)}, {"where", e.Image.String()}}
	if e.Reasons != nil {
		facts = append(facts, [2]string{"because", e.Reasons.Error()})
	}
	return facts
}

// CheckSignature looks among an image's referrers for a signature of the key.
// Attestations by the same key do not count: cosign's own verify takes any of
// them for a signature. Its error is an *UnsignedError when there is none.
func (c Client) CheckSignature(ctx context.Context, image name.Digest, key PublicKey) error {
	found, err := c.inspect(ctx, image, key, cosigntypes.CosignSignPredicateType)
	if err != nil || len(found.predicates) > 0 {
		return err
	}
	return &UnsignedError{image, found.others, found.reasons}
}
