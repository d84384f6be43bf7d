// Package sigstore is a light stand-in for Sigstore's services: an OIDC issuer with the
// tokens of GitHub and GitLab, Fulcio with its certificate log, a timestamp authority and
// the transparency log Rekor in both of its versions. They speak the protocols of the
// real servers, sign for real and keep everything in memory; cosign's own program signs
// with them, and verifies, and sandbox/interop compares what they say with what the real
// servers say. They are no real servers: there is no policy, no audit and no second
// replica, and the log of certificates promises entries that it does not keep.
package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// Instance is a running Sigstore. The fields are the URLs of its services.
type Instance struct {
	OIDC, Fulcio, TSA, RekorV1, RekorV2 string

	issuer       *issuer
	fulcio       *fulcio
	authority    *authority
	logs         [2]*transparency
	certificates *certificateLog
	since        time.Time
}

// Start makes an instance and has its services served, each at the URL that serve
// returns.
func Start(serve func(service string, h http.Handler) (url string, err error)) (*Instance, error) {
	i := &Instance{since: time.Now().Add(-time.Hour), issuer: newIssuer()}
	var err error
	if i.certificates, err = newCertificateLog(); err != nil {
		return nil, err
	}
	if i.fulcio, err = newFulcio(i.issuer, i.certificates); err != nil {
		return nil, err
	}
	if i.authority, err = newAuthority(); err != nil {
		return nil, err
	}
	for version := range i.logs {
		if i.logs[version], err = newTransparency(); err != nil {
			return nil, err
		}
	}
	for _, s := range []struct {
		name    string
		handler http.Handler
		at      *string
	}{
		{"oidc", i.issuer, &i.OIDC}, {"fulcio", i.fulcio, &i.Fulcio}, {"timestamps", i.authority, &i.TSA},
		{"rekor", http.HandlerFunc(i.logs[0].serveV1), &i.RekorV1}, {"rekor-v2", http.HandlerFunc(i.logs[1].serveV2), &i.RekorV2},
	} {
		if *s.at, err = serve(s.name, s.handler); err != nil {
			return nil, fmt.Errorf("starting %s: %w", s.name, err)
		}
	}
	i.issuer.url.Store(&i.OIDC)
	i.TSA += "/api/v1/timestamp"
	return i, nil
}

// TrustedRoot is what verifiers of this instance's signatures trust.
func (i *Instance) TrustedRoot() ([]byte, error) {
	now := time.Now
	return i.TrustedRootUntil(now().Add(24 * time.Hour))
}

// TrustedRootUntil is a root of which nothing is valid after a time.
func (i *Instance) TrustedRootUntil(end time.Time) ([]byte, error) {
	certificates := root.FulcioCertificateAuthority{
		Root: i.fulcio.root, Intermediates: []*x509.Certificate{i.fulcio.ca}, ValidityPeriodStart: i.since, ValidityPeriodEnd: end, URI: i.Fulcio,
	}
	times := root.SigstoreTimestampingAuthority{Root: i.authority.root, Leaf: i.authority.leaf, ValidityPeriodStart: i.since, ValidityPeriodEnd: end, URI: i.TSA}
	ct := map[string]*root.TransparencyLog{}
	if err := addLog(ct, i.Fulcio, i.certificates.key, i.since, end); err != nil {
		return nil, err
	}
	logs := map[string]*root.TransparencyLog{}
	for version, url := range []string{i.RekorV1, i.RekorV2} {
		if err := addLog(logs, url, i.logs[version].key, i.since, end); err != nil {
			return nil, err
		}
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{&certificates}, ct, []root.TimestampingAuthority{&times}, logs)
	if err != nil {
		return nil, fmt.Errorf("making trusted root: %w", err)
	}
	return json.Marshal(trusted)
}

func addLog(logs map[string]*root.TransparencyLog, url string, key *ecdsa.PrivateKey, start, end time.Time) error {
	id, err := keyID(key)
	if err != nil {
		return err
	}
	logs[fmt.Sprintf("%x", id)] = &root.TransparencyLog{
		BaseURL: url, ID: id, ValidityPeriodStart: start, ValidityPeriodEnd: end,
		HashFunc: crypto.SHA256, PublicKey: key.Public(), SignatureHashFunc: crypto.SHA256,
	}
	return nil
}

// SigningConfig says which services to sign with; version is that of Rekor, 0 for no
// log.
func (i *Instance) SigningConfig(version uint32) ([]byte, error) {
	service := func(url string, version uint32) []root.Service {
		return []root.Service{{URL: url, MajorAPIVersion: version, ValidityPeriodStart: i.since, Operator: "sandbox"}}
	}
	var logs []root.Service
	var logRule root.ServiceConfiguration
	if version > 0 {
		logs, logRule.Selector = service([]string{i.RekorV1, i.RekorV2}[version-1], version), prototrustroot.ServiceSelector_ANY
	}
	rule := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	config, err := root.NewSigningConfig(root.SigningConfigMediaType02, service(i.Fulcio, 1), service(i.Issuer(GitHub), 1), logs, logRule, service(i.TSA, 1), rule)
	if err != nil {
		return nil, fmt.Errorf("making signing config: %w", err)
	}
	return json.Marshal(config)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// keyID is the SHA-256 of a public key's DER.
func keyID(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding key: %w", err)
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}
