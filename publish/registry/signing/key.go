package signing

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"sync"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/mrelease/mrelease/bounds"
)

// Key is a cosign key pair that signs images. It satisfies sigstore-go's
// sign.Keypair.
type Key struct {
	PublicKey
	private func() (private, error)
}

// private is the half of a key that signs data, whose digest is given too.
type private func(ctx context.Context, data, digest []byte) ([]byte, error)

// opened is a private half that is there.
func opened(p private) func() (private, error) {
	return func() (private, error) { return p, nil }
}

// NewKey returns a key whose private half is elsewhere: sign has it sign a digest, which is a
// SHA-256 for a key on P-256. Other keys are not taken.
func NewKey(public *ecdsa.PublicKey, sign func(ctx context.Context, digest []byte) ([]byte, error)) (*Key, error) {
	half, err := newPublicKey(public)
	if err != nil {
		return nil, err
	}
	return &Key{half, opened(func(ctx context.Context, _, digest []byte) ([]byte, error) { return sign(ctx, digest) })}, nil
}

// The PEM types of cosign's keys: the second is that of cosign before version 2.
const (
	keyType    = "ENCRYPTED SIGSTORE PRIVATE KEY"
	oldKeyType = "ENCRYPTED COSIGN PRIVATE KEY"
)

// IsKey reports whether a text has the form of a key for [LoadKey], which can be
// seen without the password.
func IsKey(text []byte) bool { return keyBlock(text) != nil }

func keyBlock(text []byte) *pem.Block {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyType && block.Type != oldKeyType {
		return nil
	}
	return block
}

// KeyMemory returns the bytes that opening a key takes: scrypt's 128·N·r (RFC
// 7914). It is 0 for a text that is no key, and for numbers that [LoadKey] refuses: it
// takes those only that cosign writes.
func KeyMemory(text []byte) int64 {
	block := keyBlock(text)
	if block == nil {
		return 0
	}
	var sealed struct {
		KDF struct{ Params struct{ N, R int64 } }
	}
	if bounds.CheckJSON(block.Bytes) != nil || json.Unmarshal(block.Bytes, &sealed) != nil {
		return 0 // decrypt says what is wrong
	}
	n, r := sealed.KDF.Params.N, sealed.KDF.Params.R
	if n < 0 || r < 0 || n > bounds.KeyMemory || r > bounds.KeyMemory || 128*float64(n)*float64(r) > bounds.KeyMemory {
		return 0
	}
	return 128 * n * r
}

// decrypt does what LoadPrivateKey of cosign's main package does. That package
// brings a megabyte of clients for services along that are not used here.
func decrypt(text, password []byte) (signature.SignerVerifier, error) {
	block := keyBlock(text)
	if block == nil {
		return nil, fmt.Errorf("want a PEM block of type %s", keyType)
	}
	der, err := encrypted.Decrypt(block.Bytes, password)
	if err != nil {
		return nil, fmt.Errorf("decrypting: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("parsing: %w", err)
	}
	return signature.LoadDefaultSignerVerifier(key)
}

// LoadKey decrypts a key as cosign writes it: a PEM block "ENCRYPTED SIGSTORE
// PRIVATE KEY" or "ENCRYPTED COSIGN PRIVATE KEY". ECDSA P-256 and RSA are taken;
// of the others cosign cannot verify its own signatures without extra flags.
func LoadKey(text, password []byte) (*Key, error) {
	signer, err := decrypt(text, password)
	if err != nil {
		return nil, fmt.Errorf("loading signing key: %w", err)
	}
	public, err := signer.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("reading public key: %w", err)
	}
	half, err := newPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("loading signing key: %w", err)
	}
	return &Key{half, opened(func(ctx context.Context, data, digest []byte) ([]byte, error) {
		return signer.SignMessage(bytes.NewReader(data), options.WithContext(ctx), options.WithDigest(digest))
	})}, nil
}

func checkKeyType(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return nil
		}
		return fmt.Errorf("ECDSA %s is not usable for images, want P-256 or RSA", k.Params().Name)
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits > bounds.RSA {
			return &bounds.Error{What: "the RSA key", Most: fmt.Sprintf("%d bits", bounds.RSA), Got: fmt.Sprintf("%d bits", bits)}
		}
		return nil
	}
	return fmt.Errorf("%T is not usable for images, want ECDSA P-256 or RSA", public)
}

// Bundle implements [Signer]. A key needs no timestamp.
func (k *Key) Bundle(ctx context.Context, content sign.Content) (*protobundle.Bundle, error) {
	return sign.Bundle(content, k, sign.BundleOptions{Context: ctx})
}

// SignData implements sigstore-go's sign.Keypair: it returns the signature and
// the digest that was signed.
func (k *Key) SignData(ctx context.Context, data []byte) (sig, digest []byte, err error) {
	private, err := k.private()
	if err != nil {
		return nil, nil, err
	}
	h := k.algorithm.GetHashType().New()
	h.Write(data)
	digest = h.Sum(nil)
	sig, err = private(ctx, data, digest)
	return sig, digest, err
}

// PublicKey is the half of a key that verifies.
type PublicKey struct {
	public    crypto.PublicKey
	verifier  signature.Verifier
	algorithm signature.AlgorithmDetails
	hint      []byte
}

func newPublicKey(public crypto.PublicKey) (k PublicKey, err error) {
	if err := checkKeyType(public); err != nil {
		return k, err
	}
	k.public = public
	if k.verifier, err = signature.LoadDefaultVerifier(public); err != nil {
		return k, fmt.Errorf("loading public key: %w", err)
	}
	if k.algorithm, err = signature.GetDefaultAlgorithmDetails(public); err != nil {
		return k, fmt.Errorf("choosing signature algorithm: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return k, fmt.Errorf("encoding public key: %w", err)
	}
	sum := sha256.Sum256(der)
	k.hint = []byte(base64.StdEncoding.EncodeToString(sum[:]))
	return k, nil
}

// ParsePublicKey reads a public key in PEM, as cosign writes it to cosign.pub.
func ParsePublicKey(pem string) (PublicKey, error) {
	public, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(pem))
	if err != nil {
		return PublicKey{}, fmt.Errorf("parsing public key: %w", err)
	}
	return newPublicKey(public)
}

// Pair returns the key pair of a public key, whose private half is opened by the
// first signature; open must return the same pair.
func (k PublicKey) Pair(open func() (*Key, error)) *Key {
	return &Key{k, sync.OnceValues(func() (private, error) {
		pair, err := open()
		if err != nil {
			return nil, err
		}
		return pair.private()
	})}
}

// String implements [Party].
func (k PublicKey) String() string { return "key " + string(k.hint) }

// Who implements [Party].
func (k PublicKey) Who() (Who, error) {
	pem, err := k.GetPublicKeyPem()
	return Who{PublicKey: pem}, err
}

// Other implements [Party].
func (k PublicKey) Other() (Party, error) {
	another, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making another key: %w", err)
	}
	return newPublicKey(another.Public())
}

// VerifyBundle implements [Party]. A key needs no timestamp.
func (k PublicKey) VerifyBundle(b *bundle.Bundle, artifact verify.ArtifactPolicyOption) (*verify.VerificationResult, error) {
	trusted := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(k.verifier, time.Time{}, time.Time{}), nil
	})
	verifier, err := verify.NewVerifier(trusted, verify.WithNoObserverTimestamps())
	if err != nil {
		return nil, fmt.Errorf("making verifier: %w", err)
	}
	return verifier.Verify(b, verify.NewPolicy(artifact, verify.WithKey()))
}

// Equal reports whether two keys are the same.
func (k PublicKey) Equal(other PublicKey) bool { return bytes.Equal(k.hint, other.hint) }

// GetHashAlgorithm is part of sigstore-go's sign.Keypair.
func (k PublicKey) GetHashAlgorithm() protocommon.HashAlgorithm {
	return k.algorithm.GetProtoHashType()
}

// GetSigningAlgorithm is part of sigstore-go's sign.Keypair.
func (k PublicKey) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.algorithm.GetSignatureAlgorithm()
}

// GetHint is part of sigstore-go's sign.Keypair: the base64 of the SHA-256 of the
// public key's DER, as cosign has it.
func (k PublicKey) GetHint() []byte { return k.hint }

// GetKeyAlgorithm is part of sigstore-go's sign.Keypair.
func (k PublicKey) GetKeyAlgorithm() string {
	if _, ok := k.public.(*rsa.PublicKey); ok {
		return "RSA"
	}
	return "ECDSA"
}

// GetPublicKey is part of sigstore-go's sign.Keypair.
func (k PublicKey) GetPublicKey() crypto.PublicKey { return k.public }

// GetPublicKeyPem is part of sigstore-go's sign.Keypair.
func (k PublicKey) GetPublicKeyPem() (string, error) {
	pem, err := cryptoutils.MarshalPublicKeyToPEM(k.public)
	return string(pem), err
}

// Verify checks a signature, in base64, of data.
func (k PublicKey) Verify(signature string, data []byte) error {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return fmt.Errorf("decoding signature: %w", err)
	}
	if err := k.verifier.VerifySignature(bytes.NewReader(raw), bytes.NewReader(data)); err != nil {
		return fmt.Errorf("verifying signature: %w", err)
	}
	return nil
}
