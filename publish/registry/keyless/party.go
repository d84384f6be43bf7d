// Package keyless signs without a key that is kept: the key is made for a release, and a
// certificate of some minutes, which a certificate authority gives for an identity token
// of a CI system, says whose it is. A timestamp says that the signature was made in these
// minutes. It knows no image, no environment and no CI system: it is given tokens.
package keyless

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// Party is an identity that a trusted root's authorities certify. An identity whose
// subject has no @REF is that of a workflow at any reference.
type Party struct {
	identity signing.Identity
	root     *root.TrustedRoot
}

// RootError says that a trusted root cannot be used, or does not take what a release signs.
type RootError struct{ Problem string }

func (e *RootError) Error() string { return "the trusted root " + e.Problem }

// Evidence returns what is wrong.
func (e *RootError) Evidence() [][2]string {
	return [][2]string{{"expected", "a trusted root of Sigstore, in JSON, with a certificate authority and a timestamp authority or log"}, {"actual", e.Problem}}
}

// NewParty returns the party of an identity under a trusted root, in Sigstore's JSON. Its
// error is a [*RootError].
func NewParty(identity signing.Identity, trustedRoot []byte) (*Party, error) {
	if err := bounds.CheckJSON(trustedRoot); err != nil {
		return nil, &RootError{"cannot be read: " + err.Error()}
	}
	trusted, err := root.NewTrustedRootFromJSON(trustedRoot)
	switch {
	case err != nil:
		return nil, &RootError{"cannot be read: " + err.Error()}
	case len(trusted.FulcioCertificateAuthorities()) == 0:
		return nil, &RootError{"names no certificate authority"}
	case len(trusted.TimestampingAuthorities()) == 0 && len(trusted.RekorLogs()) == 0:
		return nil, &RootError{"names nobody who says when a signature was made"}
	}
	return &Party{identity, trusted}, nil
}

// Who implements [signing.Party].
func (p *Party) Who() (signing.Who, error) {
	identity := p.identity
	return signing.Who{Identity: &identity}, nil
}

// Other implements [signing.Party].
func (p *Party) Other() (signing.Party, error) {
	other := *p
	other.identity.Subject += "x"
	return &other, nil
}

// String implements [signing.Party].
func (p *Party) String() string { return "identity " + p.identity.String() }

// Verify implements [signing.Party]: a certificate is kept in bundles only.
func (*Party) Verify(string, []byte) error {
	return errors.New("verifying signature: it is beside no certificate: an identity signs bundles only")
}

// errParty is what a party is told that has no token.
var errParty = errors.New("signing: no identity token was asked for")

// Bundle implements [signing.Signer], for who only looks: it signs nothing.
func (*Party) Bundle(context.Context, sign.Content) (*protobundle.Bundle, error) {
	return nil, errParty
}

// SignData is likewise.
func (*Party) SignData(context.Context, []byte) (signature, digest []byte, err error) {
	return nil, nil, errParty
}

// VerifyBundle implements [signing.Party]. All that the trusted root names must have
// vouched: the certificate's log, the log of signatures, and somebody for the time at
// which the signature was made, which must be within the certificate's.
func (p *Party) VerifyBundle(b *bundle.Bundle, artifact verify.ArtifactPolicyOption) (*verify.VerificationResult, error) {
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1)}
	if len(p.root.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	if len(p.root.RekorLogs()) > 0 {
		options = append(options, verify.WithTransparencyLog(1))
	}
	verifier, err := verify.NewVerifier(p.root, options...)
	if err != nil {
		return nil, fmt.Errorf("making verifier: %w", err)
	}
	identity, err := p.policy()
	if err != nil {
		return nil, err
	}
	return verifier.Verify(b, verify.NewPolicy(artifact, verify.WithCertificateIdentity(identity)))
}

// certifies makes sure that a certificate is of one of the root's authorities and, if the
// root names logs of certificates, in one of them. Its error is a [*RootError].
func (p *Party) certifies(c *x509.Certificate, by string) error {
	chains, err := verify.VerifyLeafCertificate(c.NotBefore, c, p.root)
	if err == nil && len(p.root.CTLogs()) > 0 {
		err = verify.VerifySignedCertificateTimestamp(chains, 1, p.root)
	}
	if err != nil {
		return &RootError{fmt.Sprintf("does not take the certificate of %s: %v", by, err)}
	}
	return nil
}

// takes makes sure that what was signed verifies. Its error is a [*RootError].
func (p *Party) takes(made *protobundle.Bundle, content sign.Content, by services) error {
	b, err := bundle.NewBundle(made)
	if err != nil {
		return fmt.Errorf("reading what was signed: %w", err)
	}
	artifact := verify.WithoutArtifactUnsafe() // a statement names what it is of
	if made.GetMessageSignature() != nil {
		artifact = verify.WithArtifact(bytes.NewReader(content.PreAuthEncoding()))
	}
	if _, err := p.VerifyBundle(b, artifact); err != nil {
		return &RootError{fmt.Sprintf("does not take what was signed with %s: %v", by, err)}
	}
	return nil
}

// policy takes the whole subject, or all before its reference, and nothing that merely
// contains it.
func (p *Party) policy() (verify.CertificateIdentity, error) {
	subject, pattern := p.identity.Subject, ""
	if !strings.Contains(subject, "@") {
		subject, pattern = "", "^"+regexp.QuoteMeta(subject)+`@[^\s@]+$`
	}
	return verify.NewShortCertificateIdentity(p.identity.Issuer, "", subject, pattern)
}
