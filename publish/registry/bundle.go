package registry

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// statement is an in-toto statement v1 about one image.
type statement struct {
	Type          string          `json:"_type"`
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`

	vouched string // by whom, see vouchedIn
	proof   proof
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// newStatement makes of an attestation a statement about an image.
func newStatement(image name.Digest, a Attestation) (statement, error) {
	digest, err := v1.NewHash(image.DigestStr())
	if err != nil {
		return statement{}, fmt.Errorf("reading digest: %w", err)
	}
	predicate, err := json.Marshal(a.Predicate)
	if err != nil {
		return statement{}, fmt.Errorf("encoding predicate: %w", err)
	}
	return statement{
		Type:          "https://in-toto.io/Statement/v1",
		Subject:       []subject{{image.Repository.Name(), map[string]string{digest.Algorithm: digest.Hex}}},
		PredicateType: a.Type,
		Predicate:     predicate,
	}, nil
}

// verifyBundle checks the envelope's signature and that its subject is the
// image, and returns the statement as it was signed, to the byte.
func verifyBundle(raw []byte, image name.Digest, party signing.Party) (s statement, err error) {
	var b bundle.Bundle
	if err := bounds.CheckJSON(raw); err != nil {
		return s, fmt.Errorf("parsing bundle: %w", err)
	}
	if err := b.UnmarshalJSON(raw); err != nil {
		return s, fmt.Errorf("parsing bundle: %w", err)
	}
	digest, err := hex.DecodeString(strings.TrimPrefix(image.DigestStr(), "sha256:"))
	if err != nil {
		return s, fmt.Errorf("decoding digest: %w", err)
	}
	result, err := party.VerifyBundle(&b, verify.WithArtifactDigest("sha256", digest))
	if err != nil {
		return s, fmt.Errorf("verifying bundle: %w", err)
	}
	if result.Statement == nil {
		return s, errors.New("verifying bundle: it holds no statement")
	}
	if err := json.Unmarshal(b.GetDsseEnvelope().GetPayload(), &s); err != nil {
		return s, fmt.Errorf("parsing statement: %w", err)
	}
	s.vouched = vouchedIn(result)
	return s, nil
}

// vouchedIn tells what a certificate's authority and the witnesses of a signature say of
// it, in words; of one by a key nothing.
func vouchedIn(result *verify.VerificationResult) string {
	if result.Signature == nil || result.Signature.Certificate == nil {
		return ""
	}
	said := "certified by " + result.Signature.Certificate.CertificateIssuer
	for _, t := range result.VerifiedTimestamps {
		said += fmt.Sprintf(", at %s by %s %s", t.Timestamp.UTC().Format(time.RFC3339), strings.ToLower(t.Type), t.URI)
	}
	return said
}
