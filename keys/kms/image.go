package kms

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"github.com/mrelease/mrelease/bounds"
)

// Error says that a key service did not sign an image, or signed something else. Nothing of
// it was pushed.
type Error struct {
	Key     string // for people
	Problem string
	Advice  string
}

// Error implements error.
func (e *Error) Error() string { return "signing images with " + e.Key + ": " + e.Problem }

// Remedy returns what can be done.
func (e *Error) Remedy() string { return e.Advice }

// Evidence returns which key it is, and what is wrong.
func (e *Error) Evidence() [][2]string { return [][2]string{{"key", e.Key}, {"problem", e.Problem}} }

// ImageKey is an opened key that signs images. It is on P-256, and signs a SHA-256.
type ImageKey struct {
	Public *ecdsa.PublicKey

	key     Key
	service service
}

// OpenImage asks for the public key, once. Its errors are [*Error].
func (k Key) OpenImage(ctx context.Context) (*ImageKey, error) {
	ctx, cancel := context.WithTimeout(ctx, bounds.KeyService)
	defer cancel()
	s, err := k.connect(ctx, imageUse())
	if err != nil {
		return nil, k.Refuse(refused(err).problem, refused(err).remedy())
	}
	der, err := s.publicKey(ctx)
	if err != nil {
		return nil, k.hidden(s, err)
	}
	public, err := onP256(der)
	if err != nil {
		return nil, k.hidden(s, err)
	}
	return &ImageKey{public, k, s}, nil
}

// Sign returns a signature in DER of a SHA-256, which it has checked. Its errors are [*Error].
func (i *ImageKey) Sign(ctx context.Context, digest []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bounds.KeyService)
	defer cancel()
	hash := [32]byte{}
	if copy(hash[:], digest) != len(digest) || len(digest) != len(hash) {
		return nil, fmt.Errorf("signing %d bytes, want those of a SHA-256", len(digest))
	}
	der, err := i.service.sign(ctx, hash)
	if err != nil {
		return nil, i.key.hidden(i.service, err)
	}
	if !ecdsa.VerifyASN1(i.Public, digest, der) {
		return nil, i.key.Refuse("what came back is no signature of this by the key whose public half it gave", "find out what answers in the place of the key service, and do not use it again before; a key that was exchanged meanwhile is found by running the same command again")
	}
	return der, nil
}

// Refuse is an error about the key.
func (k Key) Refuse(problem, advice string) *Error { return &Error{k.name, problem, advice} }

// hidden is an error about the key, without the credentials of its service.
func (k Key) hidden(s service, err error) *Error {
	r := refused(hidden(s, err))
	return k.Refuse(r.problem, r.remedy())
}

// onP256 reads a public key in DER, which must be a point of P-256.
func onP256(der []byte) (*ecdsa.PublicKey, error) {
	wrong := func(problem string) (*ecdsa.PublicKey, error) {
		return nil, &refusal{problem: "what came back is no public key on P-256: " + problem, advice: "name a key on P-256 (ECDSA with SHA-256) that signs: ECC_NIST_P256 of AWS, EC_SIGN_P256_SHA256 of Google, EC with P-256 of Azure, ecdsa-p256 of Vault"}
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return wrong("it is none that is known")
	}
	switch public := key.(type) {
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			return public, nil
		}
		return wrong("its curve is " + public.Params().Name)
	case *rsa.PublicKey:
		return wrong(fmt.Sprintf("it is one of RSA with %d bits", public.N.BitLen()))
	}
	return wrong(fmt.Sprintf("it is a %T", key))
}
