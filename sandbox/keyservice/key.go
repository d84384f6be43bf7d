// Package keyservice is a light stand-in for key services: AWS KMS and Google Cloud KMS, as
// far as a wallet (keys on secp256k1) or an image (P-256) needs them, and Azure Key Vault and
// the transit engine of Vault, for images: public keys and signatures. They check who asks as
// the real ones do (Signature Version 4; a workload's identity, or a secret, that is exchanged
// for an access token; a token of Vault with its policy), answer and refuse in their words,
// and sign for real, with other random numbers each time. They keep everything in memory and
// have no policies of more than one key, no grants and no other regions.
package keyservice

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/crypto"
)

// State is what a key can be used for.
type State string

// The states that a key can have, in the words of AWS.
const (
	Enabled  State = "Enabled"
	Disabled State = "Disabled"
	Deleting State = "PendingDeletion"
)

// Key is a key of a service. It may be changed while the service runs, under Lock.
type Key struct {
	sync.Mutex

	Private *ecdsa.PrivateKey // on secp256k1, P-256 or P-384
	State   State
	Denied  bool // who asks may not use it
	Signed  int  // how many signatures it made
	Bad     bool // its signatures have a bit that is another
}

// NewKey returns a key that can be used.
func NewKey(private *ecdsa.PrivateKey) *Key { return &Key{Private: private, State: Enabled} }

func (k *Key) bits() int { return k.Private.Curve.Params().BitSize }

func (k *Key) isSecp256k1() bool { return k.Private.Curve == crypto.S256() }

// sign returns a signature of a hash in DER. Each one is another.
func (k *Key) sign(hash []byte) ([]byte, error) {
	k.Signed++
	der, err := ecdsa.SignASN1(rand.Reader, k.Private, hash)
	if k.Bad && err == nil {
		der[len(der)-1] ^= 1
	}
	return der, err
}

// SignedSoFar is how many signatures it made.
func (k *Key) SignedSoFar() int {
	k.Lock()
	defer k.Unlock()
	return k.Signed
}

// publicKey returns the SubjectPublicKeyInfo in DER.
func (k *Key) publicKey() ([]byte, error) {
	curve := asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	switch {
	case k.isSecp256k1():
		curve = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
	case k.bits() == 384:
		curve = asn1.ObjectIdentifier{1, 3, 132, 0, 34}
	}
	parameters, err := asn1.Marshal(curve)
	if err != nil {
		return nil, err
	}
	size := (k.Private.Curve.Params().BitSize + 7) / 8
	point := make([]byte, 1+2*size)
	point[0] = 4
	k.Private.X.FillBytes(point[1 : 1+size])
	k.Private.Y.FillBytes(point[1+size:])
	return asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, Parameters: asn1.RawValue{FullBytes: parameters}},
		asn1.BitString{Bytes: point, BitLength: 8 * len(point)},
	})
}

// NewP256 returns a key for images, which is on no curve that chains know.
func NewP256() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return NewKey(private), err
}

// uuid makes the id of a key from its name.
func uuid(name string) string {
	d := sha256.Sum256([]byte(name))
	return fmt.Sprintf("%x-%x-%x-%x-%x", d[:4], d[4:6], d[6:8], d[8:10], d[10:16])
}
