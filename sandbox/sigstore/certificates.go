package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
)

// certificateLog promises to keep certificates (RFC 6962), and puts the promise into
// them.
type certificateLog struct{ key *ecdsa.PrivateKey }

func newCertificateLog() (*certificateLog, error) {
	key, err := newKey()
	return &certificateLog{key}, err
}

// The extensions of RFC 6962: what marks a certificate that is to be logged, and what
// holds the log's promises.
var (
	poison   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}
	promises = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
)

// issue makes a certificate twice: to be logged, and with the log's promise.
func (l *certificateLog) issue(template x509.Certificate, key crypto.PublicKey, by *fulcio) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("making serial number: %w", err)
	}
	template.SerialNumber = serial
	own := template.ExtraExtensions
	template.ExtraExtensions = append(own[:len(own):len(own)], pkix.Extension{Id: poison, Critical: true, Value: []byte{5, 0}})
	before, err := issue(template, by.ca, key, by.key)
	if err != nil {
		return nil, err
	}
	promise, err := l.promise(before.Raw, by.ca.Raw)
	if err != nil {
		return nil, fmt.Errorf("logging certificate: %w", err)
	}
	template.ExtraExtensions = append(own[:len(own):len(own)], pkix.Extension{Id: promises, Value: promise})
	return issue(template, by.ca, key, by.key)
}

// promise returns the content of the extension for a certificate that is to be logged.
func (l *certificateLog) promise(certificate, issuer []byte) ([]byte, error) {
	var chain []*ctx509.Certificate
	for _, der := range [][]byte{certificate, issuer} {
		parsed, err := ctx509.ParseCertificate(der)
		if ctx509.IsFatal(err) {
			return nil, err
		}
		chain = append(chain, parsed)
	}
	now := uint64(time.Now().UnixMilli())
	leaf, err := ct.MerkleTreeLeafFromChain(chain, ct.PrecertLogEntryType, now)
	if err != nil {
		return nil, err
	}
	id, err := keyID(l.key)
	if err != nil {
		return nil, err
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: [32]byte(id)}, Timestamp: now}
	text, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return nil, err
	}
	signature, err := tls.CreateSignature(*l.key, tls.SHA256, text)
	if err != nil {
		return nil, err
	}
	sct.Signature = ct.DigitallySigned(signature)
	one, err := tls.Marshal(sct)
	if err != nil {
		return nil, err
	}
	list, err := tls.Marshal(ctx509.SignedCertificateTimestampList{SCTList: []ctx509.SerializedSCT{{Val: one}}})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(list)
}
