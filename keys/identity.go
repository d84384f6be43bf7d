package keys

import (
	"context"
	"errors"
	"sync"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry/keyless"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/settings"
)

// identity is who is expected to sign.
func (r Ring) identity() signing.Identity {
	return signing.Identity{Subject: r.Sign.Keyless.Identity, Issuer: string(r.Sign.Keyless.Issuer)}
}

// services are those to sign with.
func (r Ring) services() ([]byte, error) {
	where := string(r.Sign.Keyless.Config)
	if where == settings.PublicServices {
		return keyless.PublicServices(), nil
	}
	text, err := r.read(where)
	if err != nil {
		return nil, err
	}
	if err := keyless.CheckServices(text); err != nil {
		return nil, &Error{where, err}
	}
	return text, nil
}

// expected is who is expected to sign, for who only looks.
func (r Ring) expected() (signing.Signer, error) {
	root, err := r.readUpTo(bounds.TrustedRoot, string(r.Sign.TrustedRoot))
	if err != nil {
		return nil, err
	}
	party, err := keyless.NewParty(r.identity(), root)
	if err != nil {
		return nil, &Error{string(r.Sign.TrustedRoot), err}
	}
	return party, nil
}

// openIdentity asks for a token of the job, and compares it with who is expected to sign.
// Its errors are an [*Error], those of [keyless.Open], and those of Token.
func (r Ring) openIdentity(ctx context.Context) (signing.Signer, error) {
	root, err := r.readUpTo(bounds.TrustedRoot, string(r.Sign.TrustedRoot))
	if err != nil {
		return nil, err
	}
	services, err := r.services()
	if err != nil {
		return nil, err
	}
	opened, err := keyless.Open(ctx, keyless.Options{
		Identity: r.identity(), Audience: r.Sign.Keyless.Audience, Services: services, TrustedRoot: root, Token: r.token, Tell: r.Tell,
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

func (r Ring) token(ctx context.Context, audience string) (string, error) {
	if r.Token == nil {
		return "", errors.New("nothing here finds identity tokens")
	}
	token, err := r.Token(ctx, r.Sign.Keyless.Token, audience, r.Sign.Keyless.PullRequests)
	if token != "" && r.Mask != nil {
		r.Mask(token)
	}
	return token, err
}

// opening is an identity that is asked for when somebody waits for it: tokens do not
// last, so it is not asked for while an image is built.
func (r Ring) opening() func(context.Context) (signing.Signer, error) {
	var mu sync.Mutex
	var opened signing.Signer
	return func(ctx context.Context) (signing.Signer, error) {
		mu.Lock()
		defer mu.Unlock()
		if opened != nil {
			return opened, nil
		}
		var err error
		opened, err = r.openIdentity(ctx)
		return opened, err
	}
}
