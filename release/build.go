package release

import "context"

// build builds the image, unless it was found. What will be signed needs both keys: they
// are opened before, as their opening was begun with the program, so that a password that
// is wrong costs no build.
func (r *run) build(ctx context.Context) (string, error) {
	if r.image.found {
		return "", nil
	}
	if _, err := r.openKeys(ctx); err != nil {
		return "", err
	}
	made, err := r.maker().Make(ctx, r.Source, r.Layout)
	if err != nil {
		return "", err
	}
	r.image.Image, r.image.log = made.Image, made.Log
	return "", r.readDigest()
}

func (r *run) maker() Maker {
	return Maker{Builder: r.builder, Settings: r.Settings, Keys: r.Keys, Registry: r.Registry, Accepted: r.accepted, Teller: r.Teller}
}
