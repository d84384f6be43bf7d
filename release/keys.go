package release

import (
	"context"
	"fmt"

	"github.com/mrelease/mrelease/publish/registry/signing"
)

// openKeys waits for the keys, unless they are there. Where the image was found
// there may be nothing to sign: then the signing key stays closed until there is.
func (r *run) openKeys(ctx context.Context) (string, error) {
	if r.keys.signer != nil {
		return "", nil
	}
	return "", tell(r.Teller, "keys", func() (evidence string, err error) {
		if r.image.found {
			r.keys, err = r.open(ctx, r.Keys.Checker)
		} else {
			r.keys, err = r.openAll(ctx)
		}
		if err != nil {
			return "", err
		}
		wallet := r.owner().Hex()
		if r.payer() != r.owner() {
			wallet += ", paid for by " + r.payer().Hex()
		}
		return fmt.Sprintf("wallet %s, signing %s", wallet, r.keys.signer), nil
	})
}

func (r *run) openAll(ctx context.Context) (keyring, error) {
	return r.open(ctx, r.Keys.OpenSigner)
}

func (r *run) open(ctx context.Context, signing func(context.Context) (signing.Signer, error)) (k keyring, err error) {
	if k.wallet, err = r.Keys.OpenWallet(ctx); err != nil {
		return keyring{}, err
	}
	if k.signer, err = signing(ctx); err != nil {
		return keyring{}, err
	}
	return k, r.checkSecret()
}

// checker returns who signs, for looking at what was signed.
func (r *run) checker(ctx context.Context) (signing.Signer, error) {
	if r.keys.signer == nil && r.keys.err == nil {
		r.keys.signer, r.keys.err = r.Keys.Checker(ctx)
	}
	return r.keys.signer, r.keys.err
}
