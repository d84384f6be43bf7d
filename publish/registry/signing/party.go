// Package signing is who signs images: keys, as cosign writes them, and what else can be
// held to a signature. It opens keys, signs and verifies, and knows no image.
package signing

import (
	"context"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// Party is whose statements about images count: a key, or an identity that somebody
// who is trusted certifies.
type Party interface {
	// VerifyBundle checks that the party signed what a bundle holds, about an artifact.
	VerifyBundle(b *bundle.Bundle, artifact verify.ArtifactPolicyOption) (*verify.VerificationResult, error)
	// Verify checks a signature, in base64, of data, beside which nothing else is kept.
	Verify(signature string, data []byte) error
	Who() (Who, error)
	// Other returns a party that differs as little as can be, by which a verifier is tried
	// that must refuse it: another key, or an identity with a letter more.
	Other() (Party, error)
	String() string // such as "key HINT"
}

// Signer signs as a party.
type Signer interface {
	Party
	// Bundle signs content, with all that a verifier needs beside it.
	Bundle(ctx context.Context, content sign.Content) (*protobundle.Bundle, error)
	// SignData returns a signature of data alone, and the digest that was signed.
	SignData(ctx context.Context, data []byte) (signature, digest []byte, err error)
}

// Who names a party: by a public key in PEM, or by an identity.
type Who struct {
	PublicKey string
	Identity  *Identity
}

// Identity is what a certificate says of who has a key.
type Identity struct {
	// Subject is the certificate's subject alternative name: of a workflow of GitHub
	// https://github.com/OWNER/REPOSITORY/.github/workflows/FILE@REF, of a pipeline of
	// GitLab https://HOST/PROJECT//FILE@REF.
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"` // URL of the OIDC issuer that says so
}

// String is an identity in words.
func (i Identity) String() string { return i.Subject + ", by " + i.Issuer }
