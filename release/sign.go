package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/mrelease/mrelease/publish/registry"
)

// sign signs the image's digest.
func (r *run) sign(ctx context.Context) (string, error) {
	made, err := r.Registry.Sign(ctx, r.image.digest, r.keys.key)
	return r.note("sign", made, "key "+string(r.keys.key.GetHint())), err
}

func (r *run) lookForSignature(ctx context.Context) ([]Finding, error) {
	if !r.image.found {
		return []Finding{{"signature", ToMake, "the image would be signed"}}, nil
	}
	key, err := r.checker(ctx)
	if err != nil {
		return []Finding{{"signature", Unknown, fmt.Sprintf("whether the image is signed: the key cannot be opened (%v)", err)}}, nil
	}
	var unsigned *registry.UnsignedError
	err = r.Registry.CheckSignature(ctx, r.image.digest, key.PublicKey)
	if errors.As(err, &unsigned) {
		return []Finding{{"signature", ToMake, fmt.Sprintf("the image would be signed with key %s", key.GetHint())}}, nil
	}
	return []Finding{{"signature", There, fmt.Sprintf("the image is signed with key %s", key.GetHint())}}, err
}
