package release

import (
	"context"
	"fmt"

	"github.com/mrelease/mrelease/publish/registry/signing"
)

// openKeys waits for the keys, unless they are there. Where the image was found
// there may be nothing to sign: then the signing key stays closed until there is.
func (r *run) openKeys(ctx context.Context) (string, error) {
	if r.keys.key != nil {
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
		return fmt.Sprintf("wallet %s, signing key %s", r.keys.wallet.Address, r.keys.key.GetHint()), nil
	})
}

func (r *run) openAll(ctx context.Context) (keyring, error) {
	return r.open(ctx, r.Keys.OpenSigningKey)
}

func (r *run) open(ctx context.Context, signing func(context.Context) (*signing.Key, error)) (k keyring, err error) {
	if k.wallet, err = r.Keys.OpenWallet(ctx); err != nil {
		return keyring{}, err
	}
	if k.key, err = signing(ctx); err != nil {
		return keyring{}, err
	}
	return k, nil
}

// checker returns the key for looking at what it signed.
func (r *run) checker(ctx context.Context) (*signing.Key, error) {
	if r.keys.key == nil && r.keys.err == nil {
		r.keys.key, r.keys.err = r.Keys.Checker(ctx)
	}
	return r.keys.key, r.keys.err
}
