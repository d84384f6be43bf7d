package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/timestamp-authority/v2/pkg/verification"
)

// authority says when a signature was there (RFC 3161).
type authority struct {
	root, leaf *x509.Certificate
	key        *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	a := &authority{}
	var rootKey *ecdsa.PrivateKey
	var err error
	if a.root, rootKey, err = newRoot("sandbox timestamps root"); err != nil {
		return nil, err
	}
	if a.key, err = newKey(); err != nil {
		return nil, err
	}
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		return nil, fmt.Errorf("encoding key usage: %w", err)
	}
	a.leaf, err = issue(x509.Certificate{
		Subject: pkix.Name{Organization: []string{"sandbox"}, CommonName: "sandbox timestamps"}, KeyUsage: x509.KeyUsageDigitalSignature,
		// RFC 3161 wants it to be critical, which x509.ExtKeyUsageTimeStamping is not.
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, a.root, a.key.Public(), rootKey)
	return a, err
}

// ServeHTTP implements [http.Handler]. The real server also takes requests in JSON.
func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const query, reply = "application/timestamp-query", "application/timestamp-reply"
	if kind := r.Header.Get("Content-Type"); kind != query {
		answer(w, http.StatusUnsupportedMediaType, map[string]any{"code": 415, "message": fmt.Sprintf("unsupported media type %q, only [application/json %s] are allowed", kind, query)})
		return
	}
	stamp, err := a.stamp(r)
	w.Header().Set("Content-Type", reply)
	if err != nil { // with this type, too
		message := "Error generating timestamp response"
		if errors.Is(err, verification.ErrWeakHashAlg) {
			message = "Weak hash algorithm in timestamp request"
		}
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{"code": 400, "message": message}) // the client is gone
		return
	}
	_, _ = w.Write(stamp) // likewise
}

// stamp judges a request with the real server's own package, and answers it.
func (a *authority) stamp(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	asked, err := timestamp.ParseRequest(body)
	if err != nil {
		return nil, err
	}
	if err := verification.VerifyRequest(asked); err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm: asked.HashAlgorithm, HashedMessage: asked.HashedMessage, Nonce: asked.Nonce, SerialNumber: serial, Time: time.Now().UTC(), Accuracy: time.Second,
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: asked.Certificates,
	}
	return stamp.CreateResponseWithOpts(a.leaf, a.key, crypto.SHA256)
}
