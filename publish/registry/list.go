package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
)

// listing is what a registry lists as the referrers of an image.
type listing struct {
	referrers []v1.Descriptor
	place     Place
	because   string // it is nowhere
}

// list asks the referrers API, and where there is none looks under the tag.
func (b *bundles) list(ctx context.Context) (listing, error) {
	a, err := b.get(ctx, "referrers/"+b.image.DigestStr(), types.OCIImageIndex)
	if err != nil {
		return listing{}, err
	}
	if hasStatus(a.err, http.StatusTooManyRequests) || a.status >= 500 && a.status != http.StatusNotImplemented {
		return listing{}, a.err
	}
	if a.status == http.StatusOK && isIndex(a.header.Get("Content-Type")) {
		index, err := parseIndex(a.body)
		return listing{referrers: index.Manifests, place: ByAPI}, err
	}
	return b.listTagged(ctx)
}

// isIndex reports whether a registry that answers 200 to all that it does not know
// answered with a list.
func isIndex(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == string(types.OCIImageIndex)
}

// listTagged reads the index under the tag.
func (b *bundles) listTagged(ctx context.Context) (listing, error) {
	tag := tagOf(b.image, "")
	there, err := b.find(ctx, tag)
	switch {
	case err != nil:
		return listing{}, err
	case there == nil:
		return listing{place: ByTag}, nil
	case there.Digest.String() == b.image.DigestStr():
		return listing{place: Nowhere, because: "it takes the tag " + tag.TagStr() + " for the digest of the image"}, nil
	case !isIndex(string(there.MediaType)):
		return listing{place: Nowhere, because: fmt.Sprintf("its tag %s holds something else, a %s", tag.TagStr(), there.MediaType)}, nil
	}
	index, err := parseIndex(there.Manifest)
	for i := range index.Manifests {
		b.seen[index.Manifests[i].Digest.String()] = &index.Manifests[i]
	}
	return listing{referrers: index.Manifests, place: ByTag}, err
}

func parseIndex(raw []byte) (index v1.IndexManifest, err error) {
	if err := bounds.CheckJSON(raw); err != nil {
		return index, err
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return index, fmt.Errorf("parsing list: %w", err)
	}
	return index, nil
}
