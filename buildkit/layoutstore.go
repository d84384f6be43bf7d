package buildkit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
)

// layoutStore is the OCI layout that a build writes: a content store without the
// index.
type layoutStore struct {
	content.Store
	dir   string
	blobs string             // folder of the builder's own content store, when it can be read
	known func(v1.Hash) bool // whether a blob is known, and not needed
}

// linkFrom is the size from which a blob is linked: a layer's. What is small may
// be rewritten here, and must not change in the builder.
const linkFrom = 1 << 20

func newLayoutStore(dir, builderBlobs string, known func(v1.Hash) bool) (layoutStore, error) {
	store, err := local.NewStore(dir)
	if err != nil {
		return layoutStore{}, fmt.Errorf("creating image layout: %w", err)
	}
	return layoutStore{store, dir, builderBlobs, known}, nil
}

// Writer implements content.Ingester. The builder need not send a layer that it
// keeps on the same disk, since both stores are made of the same files, nor one
// that an earlier build made a layer of.
func (s layoutStore) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var w content.WriterOpts
	for _, opt := range opts {
		if err := opt(&w); err != nil {
			return nil, err
		}
	}
	known, err := v1.NewHash(w.Desc.Digest.String())
	if err == nil && s.known(known) || w.Desc.Size >= linkFrom && s.linked(w.Desc.Digest) {
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
