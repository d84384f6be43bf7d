package record

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry"
)

// Kind is how records are kept beside the images that they are about: the bytes of a
// record's file.
func Kind() registry.Kind {
	return registry.Kind{Type: registry.DocumentType + "record.v1+json", Suffix: ".record", Most: bounds.Record}
}

// Publish keeps a signed record beside its image, where [Seek] finds it; made tells
// whether it was not there. Error: *registry.Error.
func (r Record) Publish(ctx context.Context, c registry.Client) (made bool, err error) {
	image, err := r.imageDigest()
	if err != nil {
		return false, err
	}
	data, err := r.Encode()
	if err != nil {
		return false, err
	}
	return c.Attach(ctx, image, Kind(), data)
}

// imageDigest is the image by its digest.
func (r Record) imageDigest() (name.Digest, error) {
	tag, err := name.NewTag(r.Image.Reference)
	if err != nil {
		return name.Digest{}, &Error{"names no image", r.Image.Reference, "registry/repository:tag"}
	}
	return tag.Digest(r.Image.Digest.String()), nil
}
