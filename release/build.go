package release

import "context"

// build builds the image, unless it was found, in the registry or where a build left it.
// What will be signed needs both keys, and the app its secret: a password that is wrong
// ends the build before anything of it is seen.
func (r *run) build(ctx context.Context) (string, error) {
	if r.image.Image != nil {
		return "", nil
	}
	m := r.maker()
	m.Before = func() error {
		_, err := r.openKeys(ctx)
		return err
	}
	made, err := m.Make(ctx, r.Source, r.Layout)
	if err != nil {
		return "", err
	}
	r.image.Image, r.image.log = made.Image, made.Log
	return "", r.readDigest()
}

func (r *run) maker() Maker {
	return Maker{Builder: r.builder, Settings: r.Settings, Keys: r.Keys, Registry: r.Registry, Accepted: r.accepted, Teller: r.Teller, Measuring: r.Measuring, Cache: cacheOf(r.Settings, r.Source.Version, r.Importer, r.dry)}
}
