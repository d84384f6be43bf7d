package release

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// push pushes the image under the release's tag, if its signature can be found then.
// What is there of it is seen with the inputs.
func (r *run) push(ctx context.Context) (evidence string, err error) {
	image := r.image.Image
	if !r.image.found {
		if r.place, err = r.Registry.Prove(ctx, r.tag.Repository); err != nil {
			return "", err
		}
		if image, err = besideBase(image, r.tag.Repository); err != nil {
			return "", err
		}
	}
	r.image.digest, err = r.Registry.Push(ctx, r.tag, image)
	return r.note("push", !r.image.found, r.image.digest.Name()), err
}

// besideBase lets a registry take an image's layers from where it has the first of the images
// that this one was made from, if it has one.
func besideBase(image v1.Image, to name.Repository) (v1.Image, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	var from record.Source
	if err := from.ReadAnnotations(manifest.Annotations); err != nil {
		return nil, err
	}
	for _, material := range from.Materials {
		short, isImage := lock.ImageName(material.URI)
		ref, err := name.ParseReference(short)
		if !isImage || err != nil {
			continue
		}
		if base := ref.Context(); base.RegistryStr() == to.RegistryStr() && base.Name() != to.Name() {
			return registry.Mountable(image, base), nil
		}
	}
	return image, nil
}
