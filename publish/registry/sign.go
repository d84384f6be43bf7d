package registry

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"
)

// Sign signs an image as cosign does in its bundle format: a DSSE envelope
// around an in-toto statement of type https://sigstore.dev/cosign/sign/v1 with
// the image's digest as subject, stored as an OCI 1.1 referrer of the image. A
// signature of the same key that is there already is kept; made tells whether a
// new one was written. What was written is read back and verified.
//
// It takes a digest, so a tag, which may move, cannot be signed.
func (c Client) Sign(ctx context.Context, image name.Digest, key *Key) (made bool, err error) {
	err = c.CheckSignature(ctx, image, key.Public())
	var unsigned *UnsignedError
	if !errors.As(err, &unsigned) {
		return false, err
	}
	statement, err := signStatement(image)
	if err != nil {
		return false, err
	}
	signed, err := sign.Bundle(&sign.DSSEData{Data: statement, PayloadType: cosigntypes.IntotoPayloadType}, key, sign.BundleOptions{Context: ctx})
	if err != nil {
		return false, fmt.Errorf("signing %s: %w", image, err)
	}
	encoded, err := protojson.Marshal(signed)
	if err != nil {
		return false, fmt.Errorf("encoding signature: %w", err)
	}
	remoteOptions := ociremote.WithRemoteOptions(c.options(ctx)...)
	if err := ociremote.WriteAttestationNewBundleFormat(image, encoded, cosigntypes.CosignSignPredicateType, remoteOptions); err != nil {
		return false, failed("pushing signature of", image, err)
	}
	if err := c.CheckSignature(ctx, image, key.Public()); err != nil {
		return true, fmt.Errorf("reading back signature: %w", err)
	}
	return true, nil
}

// signStatement is the in-toto statement v1 that says "I signed this image".
func signStatement(image name.Digest) ([]byte, error) {
	digest, err := v1.NewHash(image.DigestStr())
	if err != nil {
		return nil, fmt.Errorf("reading digest: %w", err)
	}
	type subject struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	}
	return json.Marshal(struct {
		Type          string    `json:"_type"`
		Subject       []subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     struct{}  `json:"predicate"`
	}{
		Type:          "https://in-toto.io/Statement/v1",
		Subject:       []subject{{image.Repository.Name(), map[string]string{digest.Algorithm: digest.Hex}}},
		PredicateType: cosigntypes.CosignSignPredicateType,
	})
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
	bundles, err := c.bundles(ctx, image)
	if err != nil {
		return err
	}
	unsigned := &UnsignedError{Image: image}
	for _, raw := range bundles {
		predicateType, err := verifyBundle(raw, image, key)
		if err == nil && predicateType == cosigntypes.CosignSignPredicateType {
			return nil
		}
		unsigned.Others++
		unsigned.Reasons = errors.Join(unsigned.Reasons, err)
	}
	return unsigned
}

// verifyBundle checks the envelope's signature and that its subject is the
// image, and returns what kind of statement it holds. A key needs no timestamp.
func verifyBundle(raw []byte, image name.Digest, key PublicKey) (predicateType string, err error) {
	var b bundle.Bundle
	if err := b.UnmarshalJSON(raw); err != nil {
		return "", fmt.Errorf("parsing bundle: %w", err)
	}
	digest, err := hex.DecodeString(strings.TrimPrefix(image.DigestStr(), "sha256:"))
	if err != nil {
		return "", fmt.Errorf("decoding digest: %w", err)
	}
	trusted := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(key.verifier, time.Time{}, time.Time{}), nil
	})
	verifier, err := verify.NewVerifier(trusted, verify.WithNoObserverTimestamps())
	if err != nil {
		return "", fmt.Errorf("making verifier: %w", err)
	}
	result, err := verifier.Verify(&b, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), verify.WithKey()))
	if err != nil {
		return "", fmt.Errorf("verifying bundle: %w", err)
	}
	if result.Statement == nil {
		return "", errors.New("verifying bundle: it holds no statement")
	}
	return result.Statement.PredicateType, nil
}

// bundles returns the Sigstore bundles among an image's referrers, unparsed: a
// malformed one, which anybody who may push can add, is no reason to fail.
func (c Client) bundles(ctx context.Context, image name.Digest) ([][]byte, error) {
	index, err := remote.Referrers(image, c.options(ctx)...)
	if err != nil {
		return nil, failed("listing referrers of", image, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, failed("listing referrers of", image, err)
	}
	var bundles [][]byte
	for _, referrer := range manifest.Manifests {
		b, err := c.bundle(ctx, image.Digest(referrer.Digest.String()))
		if err != nil {
			return nil, failed("reading referrer", referrer.Digest, err)
		}
		if b != nil {
			bundles = append(bundles, b)
		}
	}
	return bundles, nil
}

// maxBundle bounds what is read of a bundle: a certificate chain, a log entry
// and a statement fit many times over.
const maxBundle = 4 << 20

// bundle returns nil for a referrer that is no bundle, by the media type of its
// layer: registries do not agree on the artifact type that they list.
func (c Client) bundle(ctx context.Context, referrer name.Digest) ([]byte, error) {
	image, err := remote.Image(referrer, c.options(ctx)...)
	if err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		return nil, err
	}
	mediaType, err := layers[0].MediaType()
	if err != nil || !strings.HasPrefix(string(mediaType), "application/vnd.dev.sigstore.bundle") {
		return nil, err
	}
	content, err := layers[0].Compressed() // as stored: a bundle is not compressed
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(content, maxBundle))
	return raw, errors.Join(err, content.Close())
}
