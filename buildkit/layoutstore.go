package buildkit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/ociindex"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layoutStore is the OCI layout that a build writes: a content store without the
// index.
type layoutStore struct {
	content.Store
	dir   string
	blobs string // folder of the builder's own content store, when it can be read
}

// linkFrom is the size from which a blob is linked: a layer's. What is small may
// be rewritten here, and must not change in the builder.
const linkFrom = 1 << 20

func newLayoutStore(dir, builderBlobs string) (layoutStore, error) {
	store, err := local.NewStore(dir)
	if err != nil {
		return layoutStore{}, fmt.Errorf("creating image layout: %w", err)
	}
	return layoutStore{store, dir, builderBlobs}, nil
}

// Writer implements content.Ingester. The builder need not send a layer that it
// keeps on the same disk: both stores are made of the same files.
func (s layoutStore) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var w content.WriterOpts
	for _, opt := range opts {
		if err := opt(&w); err != nil {
			return nil, err
		}
	}
	if w.Desc.Size >= linkFrom && s.linked(w.Desc.Digest) {
		return nil, fmt.Errorf("writing blob %s: %w", w.Desc.Digest, errdefs.ErrAlreadyExists)
	}
	return s.Store.Writer(ctx, opts...)
}

func (s layoutStore) linked(blob digest.Digest) bool {
	if s.blobs == "" || blob.Validate() != nil {
		return false
	}
	file := filepath.Join(blob.Algorithm().String(), blob.Encoded())
	link := filepath.Join(s.dir, "blobs", file)
	return os.MkdirAll(filepath.Dir(link), 0o755) == nil && os.Link(filepath.Join(s.blobs, file), link) == nil
}

// index makes what the builder reports the layout's only entry.
func (s layoutStore) index(response *client.SolveResponse) error {
	text, err := base64.StdEncoding.DecodeString(response.ExporterResponse[exptypes.ExporterImageDescriptorKey])
	if err != nil {
		return fmt.Errorf("decoding the builder's descriptor: %w", err)
	}
	var image ocispec.Descriptor
	if err := json.Unmarshal(text, &image); err != nil {
		return fmt.Errorf("parsing the builder's descriptor: %w", err)
	}
	if err := ociindex.NewStoreIndex(s.dir).Put(image); err != nil {
		return fmt.Errorf("indexing image layout: %w", err)
	}
	return nil
}
