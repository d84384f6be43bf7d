package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"time"

	"github.com/digitorus/timestamp"
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

// ServeHTTP implements [http.Handler].
func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	asked, err := timestamp.ParseRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm: asked.HashAlgorithm, HashedMessage: asked.HashedMessage, Nonce: asked.Nonce, SerialNumber: serial, Time: time.Now(),
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: asked.Certificates,
	}
	reply, err := stamp.CreateResponseWithOpts(a.leaf, a.key, crypto.SHA256)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(reply) // the client is gone
}
