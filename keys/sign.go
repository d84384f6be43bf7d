package keys

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// OpenSigningKey decrypts the cosign key, a file or env://NAME, or asks a key service for its
// public half. Its error is an [*Error], or a [*kms.Error].
func (r Ring) OpenSigningKey(ctx context.Context) (*signing.Key, error) {
	l, _, err := r.lockedKey()
	if err != nil {
		return nil, err
	}
	return await(ctx, l.unlock)
}

// OpenSigner opens what signs: the key, or the identity of the job.
func (r Ring) OpenSigner(ctx context.Context) (signing.Signer, error) {
	if r.Sign.IsKeyless() {
		return r.openIdentity(ctx)
	}
	return signer(r.OpenSigningKey(ctx))
}

// signer is a key as a signer, or no signer.
func signer(key *signing.Key, err error) (signing.Signer, error) {
	if err != nil {
		return nil, err
	}
	return key, nil
}

// Checker returns who signs for who looks at what was signed: a key without the
// password where its public half is a file, an identity without a token of the job. A key
// service is asked for its key, unless that is a file, or the ring asks nobody.
func (r Ring) Checker(ctx context.Context) (signing.Signer, error) {
	if r.Sign.IsKeyless() {
		return r.expected()
	}
	return signer(r.checker(ctx))
}

func (r Ring) checker(ctx context.Context) (*signing.Key, error) {
	l, public, err := r.lockedKey()
	if err != nil {
		return nil, err
	}
	open := func() (*signing.Key, error) { return await(ctx, l.unlock) }
	if public != nil {
		return public.Pair(open), nil
	}
	if r.Quiet && r.Sign.KMS().IsSet() {
		return nil, r.imageKey().Refuse("a plan asks no key service", "name the file of its public half with sign.public-key (cosign public-key --key URI)")
	}
	return open()
}

// lockedKey finds the key and, where a file has its public half, that, which must be it.
func (r Ring) lockedKey() (l locked[*signing.Key], public *signing.PublicKey, err error) {
	find := r.lockedFile
	if r.Sign.KMS().IsSet() {
		find = r.lockedService
	}
	if l, err = find(); err != nil {
		return l, nil, err
	}
	path, public, err := r.readPublicKey()
	if err != nil || public == nil {
		return l, nil, err
	}
	open := l.open
	l.open = func() (*signing.Key, error) {
		key, err := open()
		if err == nil && !public.Equal(key.PublicKey) {
			return nil, r.another(path)
		}
		return key, err
	}
	return l, public, nil
}

// lockedFile is a key that is a file, or a variable with its text.
func (r Ring) lockedFile() (l locked[*signing.Key], err error) {
	pem, err := r.ReadSigningKey()
	if err != nil {
		return l, err
	}
	password, where := r.secret(CosignPassword), string(r.Sign.Key)
	l.memory = signing.KeyMemory(pem)
	l.open = func() (*signing.Key, error) {
		key, err := signing.LoadKey(pem, []byte(password))
		if err != nil {
			return nil, &Error{where, signingPassword(err, password)}
		}
		return key, nil
	}
	return l, nil
}

// another says that a file has the public half of another key than the one that signs.
func (r Ring) another(path string) error {
	if r.Sign.KMS().IsSet() {
		return r.imageKey().Refuse("it is not the key whose public half is "+path, "correct sign.public-key, or sign.key: an alias, or a key without its version, may be another one than it was")
	}
	return &Error{path, fmt.Errorf("it is not the public half of %s", r.Sign.Key)}
}

// readPublicKey reads the public half that sign.public-key names, or that cosign
// generate-key-pair writes beside the key: cosign.pub beside cosign.key. The key is nil when
// there is no such file.
func (r Ring) readPublicKey() (path string, key *signing.PublicKey, err error) {
	path = r.publicKey()
	if path == "" {
		return "", nil, nil
	}
	pem, err := bounds.ReadFile(path, bounds.Key)
	if errors.Is(err, fs.ErrNotExist) && r.Sign.PublicKey == "" {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, &Error{path, unread{err}}
	}
	public, err := signing.ParsePublicKey(string(pem))
	if err != nil {
		return "", nil, &Error{path, err}
	}
	return path, &public, nil
}

// publicKey is where the public half is; empty when no file has it.
func (r Ring) publicKey() string {
	if r.Sign.PublicKey != "" {
		return string(r.Sign.PublicKey)
	}
	stem, found := strings.CutSuffix(string(r.Sign.Key), ".key")
	if !found || strings.Contains(stem, "://") {
		return ""
	}
	return stem + ".pub"
}

// CheckPublicKey says what is wrong with the file that is the signing key's public half,
// if there is one.
func (r Ring) CheckPublicKey() error {
	_, _, err := r.readPublicKey()
	return err
}

// ReadSigningKey returns the cosign key as it is written, encrypted.
func (r Ring) ReadSigningKey() (pem []byte, err error) {
	where := string(r.Sign.Key)
	if pem, err = r.read(where); err != nil {
		return nil, err
	}
	if !signing.IsKey(pem) {
		return nil, &Error{where, errors.New(notOfCosign(pem))}
	}
	return pem, nil
}

// notOfCosign says why a text is no key of cosign, and what it is instead where that is
// known. None of it is shown.
func notOfCosign(text []byte) string {
	const no = "it is no key as cosign writes it"
	block, _ := pem.Decode(text)
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return no + ": it is empty"
	case block != nil && block.Type == "PUBLIC KEY":
		return no + ": it is the public half of one, whose private half is to be named"
	case block != nil && strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return no + ": it is another private key, of which cosign import-key-pair --key FILE makes one"
	}
	return no
}
