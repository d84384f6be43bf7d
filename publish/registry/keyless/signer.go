package keyless

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/patient"
	"github.com/mrelease/mrelease/outside"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// Audience is whom Fulcio takes tokens for.
const Audience = "sigstore"

// Options say who signs, and with whose help.
type Options struct {
	// Identity is who is expected to sign. Its subject may lack the @REF: then it is the
	// one of the job.
	Identity signing.Identity
	Audience string // of the tokens
	// Token returns a token of the job for an audience. It is asked again when a
	// certificate is needed and the one before is over.
	Token       func(ctx context.Context, audience string) (string, error)
	Services    []byte // signing configuration, in Sigstore's JSON; see also [PublicServices]
	TrustedRoot []byte // in Sigstore's JSON: what is signed is verified with it at once
	// Patience is for how long a service that fails is tried again; 0: bounds.Sigstore.
	Patience time.Duration
	Tell     func(string) // is told of each wait, unless it is nil
}

// Signer signs as the job that it runs in.
type Signer struct {
	*Party
	o        Options
	services services

	mu          sync.Mutex // of the rest: statements are signed one after the other
	pair        *sign.EphemeralKeypair
	certificate *x509.Certificate // of pair
}

// ServiceError says that a service did not do what signing needs.
type ServiceError struct {
	Service string // "the certificate authority"
	URL     string
	Err     error
}

func (e *ServiceError) Error() string {
	return fmt.Sprintf("%s at %s: %v", e.Service, e.URL, e.Err)
}

// Unwrap returns the service's answer, or the network's.
func (e *ServiceError) Unwrap() error { return e.Err }

// Evidence returns which service it was, and the answer.
func (e *ServiceError) Evidence() [][2]string {
	return [][2]string{{"service", e.Service}, {"where", e.URL}, {"because", e.Err.Error()}}
}

// Open asks for a token and compares it with who is expected to sign. Nothing is sent to
// any service of Sigstore.
//
// Errors: *RootError, *ConfigError, *TokenError, *IdentityError, and those of Token.
func Open(ctx context.Context, o Options) (*Signer, error) {
	if o.Audience == "" {
		o.Audience = Audience
	}
	if o.Patience == 0 {
		o.Patience = bounds.Sigstore
	}
	s := &Signer{o: o}
	var err error
	if s.services, err = readServices(o.Services, time.Now()); err != nil {
		return nil, err
	}
	if s.Party, err = NewParty(o.Identity, o.TrustedRoot); err != nil {
		return nil, err
	}
	_, s.identity, err = s.token(ctx)
	return s, err
}

// token asks for one, and returns whom it is of.
func (s *Signer) token(ctx context.Context) (token string, of signing.Identity, err error) {
	if token, err = s.o.Token(ctx, s.o.Audience); err != nil {
		return "", of, err
	}
	said, err := readClaims(token)
	if err != nil {
		return "", of, err
	}
	of, err = said.check(s.identity, s.o.Audience, time.Now())
	return token, of, err
}

// Exactly is the party of the identity that the token names, with its reference: of one of
// another reference it is not.
func (s *Signer) Exactly() signing.Party { return &Party{s.identity, s.root} }

// SignData implements [signing.Signer]: a signature alone would be worth nothing.
func (*Signer) SignData(context.Context, []byte) (signature, digest []byte, err error) {
	return nil, nil, errors.New("signing: an identity signs bundles only: set sign.layout: referrers")
}

// Bundle implements [signing.Signer]: with the certificate, a timestamp, and an entry in
// the log when the services have one. The certificate is verified before anything is sent
// to the others, and what was made, as [Party.VerifyBundle] does, before it is returned.
//
// Errors: *ServiceError, *RootError, *IdentityError, *TokenError.
func (s *Signer) Bundle(ctx context.Context, content sign.Content) (*protobundle.Bundle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.certify(ctx); err != nil {
		return nil, err
	}
	o := sign.BundleOptions{Context: ctx, CertificateProvider: given(s.certificate.Raw)}
	for _, url := range s.services.timestamps {
		client, err := s.client(ctx, url)
		if err != nil {
			return nil, err
		}
		o.TimestampAuthorities = append(o.TimestampAuthorities, sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: url, Timeout: -1, Transport: client.Transport}))
	}
	for _, l := range s.services.logs {
		client, err := s.client(ctx, l.URL)
		if err != nil {
			return nil, err
		}
		log, err := newLog(l, client)
		if err != nil {
			return nil, err
		}
		o.TransparencyLogs = append(o.TransparencyLogs, log)
	}
	made, err := sign.Bundle(content, s.pair, o)
	if err != nil {
		return nil, &ServiceError{"signing", s.services.String(), err}
	}
	if err := s.takes(made, content, s.services); err != nil {
		return nil, err
	}
	return made, nil
}

// margin is what must be left of a certificate to sign with it.
const margin = time.Minute

// certify makes a key and has it certified, unless there is one whose certificate is
// valid for a while.
func (s *Signer) certify(ctx context.Context) error {
	if s.certificate != nil && time.Until(s.certificate.NotAfter) > margin {
		return nil
	}
	token, identity, err := s.token(ctx)
	if err != nil {
		return err
	}
	if identity != s.identity {
		return &IdentityError{"identity", "token", s.identity.Subject, identity.Subject}
	}
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return fmt.Errorf("making key: %w", err)
	}
	client, err := s.client(ctx, s.services.authority)
	if err != nil {
		return err
	}
	authority := sign.NewFulcio(&sign.FulcioOptions{BaseURL: s.services.authority, Timeout: -1, Transport: client.Transport})
	der, err := authority.GetCertificate(ctx, pair, &sign.CertificateProviderOptions{IDToken: token})
	if err != nil {
		return &ServiceError{"the certificate authority", s.services.authority, hidden{err, token}}
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return &ServiceError{"the certificate authority", s.services.authority, err}
	}
	if err := s.named(c); err != nil {
		return err
	}
	// Before it is published: a log forgets nothing.
	if err := s.certifies(c, s.services.authority); err != nil {
		return err
	}
	s.pair, s.certificate = pair, c
	return nil
}

// hidden is an error whose text may repeat a token, which others could sign with.
type hidden struct {
	error
	token string
}

// Error implements error.
func (h hidden) Error() string { return printable.Hider(h.token).Replace(h.error.Error()) }

// Unwrap returns the error.
func (h hidden) Unwrap() error { return h.error }

// named makes sure that a certificate is of who is to sign.
func (s *Signer) named(c *x509.Certificate) error {
	said, err := certificate.SummarizeCertificate(c)
	switch {
	case err != nil:
		return &ServiceError{"the certificate authority", s.services.authority, err}
	case said.Issuer != s.identity.Issuer:
		return &IdentityError{"issuer", "certificate", s.identity.Issuer, said.Issuer}
	case said.SubjectAlternativeName != s.identity.Subject:
		return &IdentityError{"identity", "certificate", s.identity.Subject, said.SubjectAlternativeName}
	}
	return nil
}

// client returns a client of a service, whose requests end with a context.
func (s *Signer) client(ctx context.Context, service string) (*http.Client, error) {
	u, err := url.Parse(service)
	if err != nil {
		return nil, &ConfigError{fmt.Sprintf("names a service %q: %v", service, err)}
	}
	c := patient.Steady(s.o.Patience, outside.Service{Host: u.Host, Most: bounds.Manifest, Stay: true}, s.o.Tell)
	c.Transport = within{ctx, c.Transport}
	return c, nil
}

// within ends requests with a context: those for a certificate have none of their own.
type within struct {
	ctx  context.Context
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.next.RoundTrip(r.WithContext(w.ctx))
}

// given is a certificate that is there.
type given []byte

// GetCertificate implements sigstore-go's sign.CertificateProvider.
func (g given) GetCertificate(context.Context, sign.Keypair, *sign.CertificateProviderOptions) ([]byte, error) {
	return g, nil
}
