package registry

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// Key is a cosign key pair that signs images. It satisfies sigstore-go's
// sign.Keypair.
type Key struct {
	signer    signature.SignerVerifier
	public    crypto.PublicKey
	algorithm signature.AlgorithmDetails
	hint      []byte
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
// 7914). It is 0 for a text that is no key.
func KeyMemory(text []byte) int64 {
	block := keyBlock(text)
	if block == nil {
		return 0
	}
	var sealed struct {
		KDF struct{ Params struct{ N, R int64 } }
	}
	if json.Unmarshal(block.Bytes, &sealed) != nil {
		return 0 // decrypt says what is wrong
	}
	return 128 * sealed.KDF.Params.N * sealed.KDF.Params.R
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
	if err := checkKeyType(public); err != nil {
		return nil, err
	}
	algorithm, err := signature.GetDefaultAlgorithmDetails(public)
	if err != nil {
		return nil, fmt.Errorf("choosing signature algorithm: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encoding public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return &Key{signer, public, algorithm, []byte(base64.StdEncoding.EncodeToString(sum[:]))}, nil
}

func checkKeyType(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return nil
		}
		return fmt.Errorf("loading signing key: ECDSA %s is not usable for images, want P-256 or RSA", k.Params().Name)
	case *rsa.PublicKey:
		return nil
	}
	return fmt.Errorf("loading signing key: %T is not usable for images, want ECDSA P-256 or RSA", public)
}

// GetHashAlgorithm implements sigstore-go's sign.Keypair.
func (k *Key) GetHashAlgorithm() protocommon.HashAlgorithm { return k.algorithm.GetProtoHashType() }

// GetSigningAlgorithm implements sigstore-go's sign.Keypair.
func (k *Key) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.algorithm.GetSignatureAlgorithm()
}

// GetHint implements sigstore-go's sign.Keypair: the base64 of the SHA-256 of
// the public key's DER, as cosign has it.
func (k *Key) GetHint() []byte { return k.hint }

// GetKeyAlgorithm implements sigstore-go's sign.Keypair.
func (k *Key) GetKeyAlgorithm() string {
	if _, ok := k.public.(*rsa.PublicKey); ok {
		return "RSA"
	}
	return "ECDSA"
}

// GetPublicKey implements sigstore-go's sign.Keypair.
func (k *Key) GetPublicKey() crypto.PublicKey { return k.public }

// GetPublicKeyPem implements sigstore-go's sign.Keypair.
func (k *Key) GetPublicKeyPem() (string, error) {
	pem, err := cryptoutils.MarshalPublicKeyToPEM(k.public)
	return string(pem), err
}

// SignData implements sigstore-go's sign.Keypair: it returns the signature and
// the digest that was signed.
func (k *Key) SignData(ctx context.Context, data []byte) (sig, digest []byte, err error) {
	h := k.algorithm.GetHashType().New()
	h.Write(data)
	digest = h.Sum(nil)
	sig, err = k.signer.SignMessage(bytes.NewReader(data), options.WithContext(ctx), options.WithDigest(digest))
	return sig, digest, err
}

// PublicKey verifies the signatures of one key.
type PublicKey struct{ verifier signature.Verifier }

// ParsePublicKey reads a public key in PEM, as cosign writes it to cosign.pub.
func ParsePublicKey(pem string) (PublicKey, error) {
	public, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(pem))
	if err != nil {
		return PublicKey{}, fmt.Errorf("parsing public key: %w", err)
	}
	if err := checkKeyType(public); err != nil {
		return PublicKey{}, err
	}
	verifier, err := signature.LoadDefaultVerifier(public)
	if err != nil {
		return PublicKey{}, fmt.Errorf("loading public key: %w", err)
	}
	return PublicKey{verifier}, nil
}

// Public returns the half of the key that verifies.
func (k *Key) Public() PublicKey { return PublicKey{k.signer} }
