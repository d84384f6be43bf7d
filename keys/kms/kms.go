// Package kms has a key service sign, with a key that never leaves it: AWS KMS and Google
// Cloud KMS for a wallet (secp256k1) or for images (P-256), Azure Key Vault and the transit
// engine of Vault for images. All sign a hash, with other random numbers each time, and say
// who asked in a log of their own. A signature has no effect there, so a request that failed
// is made again.
//
// Credentials are found as each service's own tools find them, and are never shown.
package kms

import (
	"cmp"
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/node"
)

// service is a key service, opened for one key. Its errors are [*refusal]s.
type service interface {
	// publicKey returns the key's SubjectPublicKeyInfo in DER (RFC 5480).
	publicKey(ctx context.Context) ([]byte, error)
	// sign returns an ECDSA signature of a hash in DER (RFC 3279).
	sign(ctx context.Context, hash [32]byte) ([]byte, error)
	// hide takes the credentials out of a text.
	hide(text string) string
}

// Key is a key in a key service, of which [AWS], [Google], [Azure] and [Vault] make one. The
// latter two have no keys of wallets.
type Key struct {
	name    string // for people
	connect func(ctx context.Context, u use) (service, error)
}

// String says which key it is.
func (k Key) String() string { return k.name }

// refusal is why a key service did not do what it was asked, and what can be done.
type refusal struct {
	problem, advice string
	err             error
}

func (r *refusal) Error() string { return r.problem }
func (r *refusal) Unwrap() error { return r.err }

// Open asks for the public key, and returns the wallet of its address, which must be the
// expected one unless that is zero. Its errors are [*node.SignerError].
func (k Key) Open(ctx context.Context, expected common.Address) (node.Wallet, error) {
	ctx, cancel := context.WithTimeout(ctx, bounds.KeyService)
	defer cancel()
	s, err := k.connect(ctx, walletUse())
	if err != nil {
		return node.Wallet{}, k.unopened(err)
	}
	der, err := s.publicKey(ctx)
	if err != nil {
		return node.Wallet{}, k.unopened(hidden(s, err))
	}
	address, err := addressOf(der)
	if err != nil {
		return node.Wallet{}, k.unopened(err)
	}
	if expected != (common.Address{}) && expected != address {
		return node.Wallet{}, k.unopened(&refusal{
			problem: fmt.Sprintf("the key's address is %s, but wallet.address is %s", address, expected),
			advice:  "correct wallet.address or wallet.kms: an alias may name another key than it did",
		})
	}
	return node.NewWallet(address, node.HashSigner(func(ctx context.Context, hash common.Hash) ([]byte, error) {
		signature, err := sign(ctx, s, hash, address)
		if err != nil {
			return nil, k.failed(address, "hash "+hash.Hex(), hidden(s, err))
		}
		return signature, nil
	})), nil
}

func sign(ctx context.Context, s service, hash common.Hash, signer common.Address) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bounds.KeyService)
	defer cancel()
	der, err := s.sign(ctx, hash)
	if err != nil {
		return nil, err
	}
	return signature(der, hash, signer)
}

// unopened is the error of a wallet of which nothing was signed yet.
func (k Key) unopened(err error) error { return k.failed(common.Address{}, "", err) }

// failed is the error of all that goes wrong with a key.
func (k Key) failed(wallet common.Address, what string, err error) error {
	r := refused(err)
	return &node.SignerError{Wallet: wallet, What: what, Problem: k.name + ": " + r.problem, Advice: r.remedy()}
}

// refused is an error as a refusal.
func refused(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return &refusal{problem: redact.Error(err).Error()}
}

// remedy is what can be done.
func (r *refusal) remedy() string {
	return cmp.Or(r.advice, "look at what the key service says above")
}

// hidden is an error without the credentials of a service.
func hidden(s service, err error) error {
	r := refused(err)
	return &refusal{problem: s.hide(r.problem), advice: r.advice}
}

// used are the secrets with which a service was asked. They are kept, since those that it
// quotes may have run out by then, and asking for others takes a network.
type used struct {
	mu  sync.Mutex
	all []string
}

func (u *used) add(secrets ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, secret := range secrets {
		if secret != "" && !slices.Contains(u.all, secret) {
			u.all = append(u.all, secret)
		}
	}
}

// hide puts a mark in the place of each secret that a text quotes.
func (u *used) hide(text string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, secret := range u.all {
		text = strings.ReplaceAll(text, secret, "(hidden)")
	}
	return text
}

// brief is the beginning of a service's own words, on one line.
func brief(words string) string {
	const most = 400
	words = strings.Join(strings.Fields(words), " ")
	if len(words) > most {
		words = strings.ToValidUTF8(words[:most], "") + "…"
	}
	return words
}

// publicKeyInfo is a SubjectPublicKeyInfo.
type publicKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Key       asn1.BitString
}

// OIDs of RFC 5480 and SEC 2.
var (
	oidPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSecp256k1 = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
)

// addressOf returns the address of a key in DER, which must be a point of secp256k1,
// written whole. Go's x509 does not know that curve.
func addressOf(der []byte) (common.Address, error) {
	wrong := func(problem string) (common.Address, error) {
		return common.Address{}, &refusal{problem: "what came back is no public key on secp256k1: " + problem, advice: "name a key of the curve secp256k1 that signs: ECC_SECG_P256K1 of AWS, EC_SIGN_SECP256K1_SHA256 of Google"}
	}
	var info publicKeyInfo
	rest, err := asn1.Unmarshal(der, &info)
	if err != nil {
		return wrong("it is not in DER")
	}
	var curve asn1.ObjectIdentifier
	more, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &curve)
	switch {
	case len(rest) > 0:
		return wrong(fmt.Sprintf("%d bytes follow it", len(rest)))
	case !info.Algorithm.Algorithm.Equal(oidPublicKey):
		return wrong("its algorithm is " + info.Algorithm.Algorithm.String())
	case err != nil || len(more) > 0:
		return wrong("it names no curve")
	case !curve.Equal(oidSecp256k1):
		return wrong("its curve is " + curve.String())
	case info.Key.BitLength != 8*len(info.Key.Bytes):
		return wrong("it is no whole number of bytes")
	}
	key, err := crypto.UnmarshalPubkey(info.Key.Bytes)
	if err != nil {
		return wrong("it is no point of the curve")
	}
	return crypto.PubkeyToAddress(*key), nil
}

// signature turns one in DER into r ‖ s ‖ v, with the lower s and v 27 or 28, as contracts
// take it. Which v it is shows only when the key is recovered, which also shows that it is
// the signer's.
func signature(der []byte, hash common.Hash, signer common.Address) ([]byte, error) {
	const advice = "find out what answers in the place of the key service, and do not use it again before"
	parsed, err := ecdsa.ParseDERSignature(der)
	if err != nil {
		return nil, &refusal{problem: "what came back is no signature in DER", advice: advice}
	}
	r, s := parsed.R(), parsed.S()
	if s.IsOverHalfOrder() {
		s.Negate()
	}
	made := make([]byte, 0, crypto.SignatureLength)
	made = append(made, scalar(r)...)
	made = append(made, scalar(s)...)
	for _, v := range []byte{27, 28} {
		candidate := append(made, v)
		if found, err := node.RecoverSigner(hash, candidate); err == nil && found == signer {
			return candidate, nil
		}
	}
	return nil, &refusal{problem: fmt.Sprintf("what came back is not a signature of this by %s", signer), advice: advice}
}

// scalar is a number in 32 bytes, big-endian.
func scalar(n secp256k1.ModNScalar) []byte {
	b := n.Bytes()
	return b[:]
}
