package record

import (
	"bytes"
	"context"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
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

// Recall looks beside the image for a record of the same content that the wallet signed, and
// has the wallet give that signature again: a wallet may make another one each time, and one
// record is enough. Error: *registry.Error, when neither place can be read in which records
// are kept.
func (r Record) Recall(ctx context.Context, c registry.Client, w node.Wallet) error {
	text, err := r.text()
	if err != nil {
		return err
	}
	image, err := r.imageDigest()
	if err != nil {
		return err
	}
	_, err = c.Attached(ctx, image, Kind(), func(document []byte) bool {
		there, err := Parse(document)
		if err != nil {
			return false
		}
		same, err := there.text()
		return err == nil && bytes.Equal(same, text) && w.RecallText(text, there.Signature) == nil
	})
	return err
}

// imageDigest is the image by its digest.
func (r Record) imageDigest() (name.Digest, error) {
	tag, err := name.NewTag(r.Image.Reference)
	if err != nil {
		return name.Digest{}, &Error{"names no image", r.Image.Reference, "registry/repository:tag"}
	}
	return tag.Digest(r.Image.Digest.String()), nil
}
