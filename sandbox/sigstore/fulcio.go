package sigstore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/cryptoutils/goodkey"
	"github.com/sigstore/sigstore/pkg/signature"
)

// fulcio certifies that a key is that of a job, for ten minutes.
type fulcio struct {
	issuer   *issuer
	log      *certificateLog
	root, ca *x509.Certificate
	key      *ecdsa.PrivateKey // of ca
}

func newFulcio(tokens *issuer, log *certificateLog) (*fulcio, error) {
	f := &fulcio{issuer: tokens, log: log}
	var rootKey *ecdsa.PrivateKey
	var err error
	if f.root, rootKey, err = newRoot("sandbox fulcio"); err != nil {
		return nil, err
	}
	if f.key, err = newKey(); err != nil {
		return nil, err
	}
	f.ca, err = issue(x509.Certificate{
		Subject: pkix.Name{Organization: []string{"sandbox"}, CommonName: "sandbox fulcio intermediate"}, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}, f.root, f.key.Public(), rootKey)
	return f, err
}

func newRoot(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template := x509.Certificate{
		Subject: pkix.Name{Organization: []string{"sandbox"}, CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	root, err := issue(template, nil, key.Public(), key)
	return root, key, err
}

// issue makes a certificate, of a day unless the template says something else. Without a
// parent it is its own.
func issue(template x509.Certificate, parent *x509.Certificate, key crypto.PublicKey, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	if template.SerialNumber == nil {
		serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
		if err != nil {
			return nil, fmt.Errorf("making serial number: %w", err)
		}
		template.SerialNumber = serial
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	if parent == nil {
		parent = &template
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key, by)
	if err != nil {
		return nil, fmt.Errorf("making certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// request is that of Fulcio's API.
type request struct {
	PublicKeyRequest struct {
		PublicKey struct {
			Content string `json:"content"`
		} `json:"publicKey"`
		Proof []byte `json:"proofOfPossession"`
	} `json:"publicKeyRequest"`
	Credentials struct {
		Token string `json:"oidcIdentityToken"`
	} `json:"credentials"`
}

// ServeHTTP implements [http.Handler].
func (f *fulcio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/v2/signingCert":
		chain, err := f.certify(r)
		if err != nil { // as Fulcio tells it
			answer(w, http.StatusBadRequest, map[string]any{"code": 3, "message": err.Error()})
			return
		}
		answer(w, http.StatusOK, map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}})
	case "/api/v1/signingCert":
		f.serveV1(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (f *fulcio) certify(r *http.Request) (chain []string, err error) {
	var in request
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&in); err != nil {
		return nil, fmt.Errorf("reading request: %w", err)
	}
	token := in.Credentials.Token
	if token == "" {
		token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	return f.chain(token, func() (crypto.PublicKey, error) {
		return cryptoutils.UnmarshalPEMToPublicKey([]byte(in.PublicKeyRequest.PublicKey.Content))
	}, in.PublicKeyRequest.Proof)
}

// serveV1 is the API that cosign 2 asks without a signing configuration.
func (f *fulcio) serveV1(w http.ResponseWriter, r *http.Request) {
	var in struct {
		PublicKey struct {
			Content []byte `json:"content"`
		} `json:"publicKey"`
		Proof []byte `json:"signedEmailAddress"`
	}
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&in)
	var chain []string
	if err == nil {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		chain, err = f.chain(token, func() (crypto.PublicKey, error) { return x509.ParsePKIXPublicKey(in.PublicKey.Content) }, in.Proof)
	}
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"code": 3, "message": err.Error()})
		return
	}
	w.Header().Set("Content-Type", "application/pem-certificate-chain")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, strings.Join(chain, "\n")) // the client is gone
}

// refusal is what Fulcio says to whom it certifies nothing, in its words, and no more.
type refusal string

const (
	badToken     refusal = "There was an error processing the identity token"
	badKey       refusal = "The public key supplied in the request could not be parsed"
	weakKey      refusal = "The public key supplied in the request is insecure"
	badSignature refusal = "The signature supplied in the request could not be verified"
)

func (r refusal) Error() string { return string(r) }

// chain certifies a key for a token's job, when the key signed the token's subject.
func (f *fulcio) chain(token string, readKey func() (crypto.PublicKey, error), proof []byte) ([]string, error) {
	claims, err := f.issuer.check(token, "sigstore")
	if err != nil {
		return nil, badToken
	}
	key, err := readKey()
	if err != nil {
		return nil, badKey
	}
	if goodkey.ValidatePubKey(key) != nil {
		return nil, weakKey
	}
	subject, _ := claims["sub"].(string)
	verifier, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		return nil, err
	}
	if err := verifier.VerifySignature(bytes.NewReader(proof), strings.NewReader(subject)); err != nil {
		return nil, badSignature
	}
	template, err := describe(claims)
	if err != nil {
		return nil, err
	}
	if template.SubjectKeyId, err = cryptoutils.SKID(key); err != nil {
		return nil, fmt.Errorf("naming key: %w", err)
	}
	leaf, err := f.log.issue(template, key, f)
	if err != nil {
		return nil, err
	}
	var chain []string
	for _, c := range []*x509.Certificate{leaf, f.ca, f.root} {
		chain = append(chain, strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))) // as Fulcio
	}
	return chain, nil
}

// extensions are what Fulcio writes into a certificate of the claims of a shape of token, by
// the last part of their object identifier. Source: docs/oid-info.md of sigstore/fulcio, and
// the templates of its config/identity/config.yaml.
var extensions = map[string]map[int]string{
	GitHub: {
		1: "${iss}", 2: "${event_name}", 3: "${sha}", 4: "${workflow}", 5: "${repository}", 6: "${ref}",
		8: "${iss}", 9: "https://github.com/${job_workflow_ref}", 10: "${job_workflow_sha}", 11: "${runner_environment}",
		12: "https://github.com/${repository}", 13: "${sha}", 14: "${ref}", 15: "${repository_id}",
		16: "https://github.com/${repository_owner}", 17: "${repository_owner_id}", 18: "https://github.com/${workflow_ref}", 19: "${workflow_sha}",
		20: "${event_name}", 21: "https://github.com/${repository}/actions/runs/${run_id}/attempts/${run_attempt}", 22: "${repository_visibility}",
		23: "${environment}", 24: "${sub}",
	},
	GitLab: {
		1: "${iss}",
		8: "${iss}", 9: "https://${ci_config_ref_uri}", 10: "${ci_config_sha}", 11: "${runner_environment}",
		12: "https://gitlab.com/${project_path}", 13: "${sha}", 14: "refs/${ref_folder}/${ref}", 15: "${project_id}",
		16: "https://gitlab.com/${namespace_path}", 17: "${namespace_id}", 18: "https://${ci_config_ref_uri}", 19: "${ci_config_sha}",
		20: "${pipeline_source}", 21: "https://gitlab.com/${project_path}/-/jobs/${job_id}", 22: "${project_visibility}",
		23: "${environment}", 24: "${sub}",
	},
}

// plain are the extensions up to this one, which are no text in ASN.1 but the text itself.
const plain = 6

// describe makes the certificate of a job, without key and serial number.
func describe(claims map[string]any) (c x509.Certificate, err error) {
	text := func(name string) string {
		if name == "ref_folder" {
			return map[bool]string{true: "heads", false: "tags"}[claims["ref_type"] == "branch"]
		}
		s, _ := claims[name].(string)
		return s
	}
	shape := GitHub
	if text("ci_config_ref_uri") != "" {
		shape = GitLab
	}
	at, err := url.Parse(os.Expand(extensions[shape][9], text))
	if err != nil {
		return c, fmt.Errorf("making identity: %w", err)
	}
	c = x509.Certificate{
		NotBefore: time.Now(), NotAfter: time.Now().Add(10 * time.Minute), URIs: []*url.URL{at},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	for _, last := range slices.Sorted(maps.Keys(extensions[shape])) {
		value := os.Expand(extensions[shape][last], text)
		if value == "" {
			continue
		}
		content := []byte(value)
		if last > plain {
			if content, err = asn1.MarshalWithParams(value, "utf8"); err != nil {
				return c, fmt.Errorf("encoding %s: %w", value, err)
			}
		}
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, last}, Value: content})
	}
	return c, nil
}
