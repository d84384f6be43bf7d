package release

import (
	"cmp"
	"context"
)

// build builds the image, unless it was found, while the keys are opened. A
// password that is wrong ends it: minutes would be spent for nothing.
func (r *run) build(ctx context.Context) (string, error) {
	if r.image.found {
		return "", nil
	}
	building, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		if _, err := r.openAll(ctx); err != nil {
			stop()
		}
	}()
	made, err := r.maker().Make(building, r.Source, r.Layout)
	r.image.Image, r.image.log = made.Image, made.Log
	if ctx.Err() != nil {
		return "", err
	}
	if _, keyErr := r.openKeys(ctx); cmp.Or(keyErr, err) != nil {
		return "", cmp.Or(keyErr, err)
	}
	return "", r.readDigest()
}

func (r *run) maker() Maker {
	return Maker{Builder: r.builder, Settings: r.Settings, Keys: r.Keys, Registry: r.Registry, Accepted: r.accepted, Teller: r.Teller}
}
