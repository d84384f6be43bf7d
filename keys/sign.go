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

// OpenSigningKey decrypts the cosign key: a file, or env://NAME. Its error is an
// [*Error].
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
// password where its public half is a file, an identity without a token of the job.
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
	if public == nil {
		return open()
	}
	return public.Pair(open), nil
}

// lockedKey finds the key and, where cosign.pub is beside it, its public half,
// which must be that.
func (r Ring) lockedKey() (l locked[*signing.Key], public *signing.PublicKey, err error) {
	pem, err := r.ReadSigningKey()
	if err != nil {
		return l, nil, err
	}
	path, public, err := r.readPublicKey()
	if err != nil {
		return l, nil, err
	}
	password, where := r.secret(CosignPassword), string(r.Sign.Key)
	l.memory = signing.KeyMemory(pem)
	l.open = func() (*signing.Key, error) {
		key, err := signing.LoadKey(pem, []byte(password))
		switch {
		case err != nil:
			return nil, &Error{where, signingPassword(err, password)}
		case public != nil && !public.Equal(key.PublicKey):
			return nil, &Error{path, fmt.Errorf("it is not the public half of %s", where)}
		}
		return key, nil
	}
	return l, public, nil
}

// readPublicKey reads what cosign generate-key-pair writes beside the key:
// cosign.pub beside cosign.key. The key is nil when there is no such file.
func (r Ring) readPublicKey() (path string, key *signing.PublicKey, err error) {
	stem, found := strings.CutSuffix(string(r.Sign.Key), ".key")
	if !found || strings.HasPrefix(stem, "env://") {
		return "", nil, nil
	}
	path = stem + ".pub"
	pem, err := bounds.ReadFile(path, bounds.Key)
	if errors.Is(err, fs.ErrNotExist) {
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
