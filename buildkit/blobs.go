package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/singleflight"
)

// blobs opens a blob by its digest, to be read once. The error for a blob that
// is not there is an [errdefs.ErrNotFound].
type blobs func(v1.Hash) (io.ReadCloser, error)

// layoutBlobs opens the blobs of an OCI layout, indexes among them.
func layoutBlobs(folder string) blobs {
	return func(h v1.Hash) (io.ReadCloser, error) {
		blob, err := layout.Path(folder).Blob(h)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("opening blob %s in %q: %w", h, folder, errdefs.ErrNotFound)
		}
		return blob, err
	}
}

// lazyStore is how BuildKit takes an image from its client: a content store,
// which starts empty and gets a blob when it is first asked for. BuildKit reads
// in pieces and the blobs may come from a registry, so each is copied to a file
// first, and checked against its digest on the way, unless it is a checked file
// already. A blob that is another one must not get as far as BuildKit: it keeps
// what it took, to go on there, and refuses the right one from then on. BuildKit
// does not ask for blobs that it has.
type lazyStore struct {
	content.Store
	open    blobs
	copying singleflight.Group
	files   sync.Map // digest.Digest: the path of the file that a blob is
}

// checked is a blob that is a file which was compared with its digest, and which nobody else
// writes to.
type checked interface{ Checked() (path string) }

// newLazyStore keeps its files in dir, which the caller removes.
func newLazyStore(dir string, open blobs) (*lazyStore, error) {
	store, err := local.NewStore(dir)
	if err != nil {
		return nil, fmt.Errorf("opening content store: %w", err)
	}
	return &lazyStore{Store: store, open: open}, nil
}

// Info implements content.Manager.
func (s *lazyStore) Info(ctx context.Context, d digest.Digest) (content.Info, error) {
	if err := s.fetch(ctx, d); err != nil {
		return content.Info{}, err
	}
	if path, ok := s.files.Load(d); ok {
		info, err := os.Stat(path.(string))
		if err != nil {
			return content.Info{}, fmt.Errorf("looking at blob: %w", err)
		}
		return content.Info{Digest: d, Size: info.Size()}, nil
	}
	return s.Store.Info(ctx, d)
}

// ReaderAt implements content.Provider.
func (s *lazyStore) ReaderAt(ctx context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	if err := s.fetch(ctx, desc.Digest); err != nil {
		return nil, err
	}
	if path, ok := s.files.Load(desc.Digest); ok {
		return local.OpenReader(path.(string))
	}
	return s.Store.ReaderAt(ctx, desc)
}

func (s *lazyStore) fetch(ctx context.Context, d digest.Digest) error {
	_, err, _ := s.copying.Do(d.String(), func() (any, error) {
		if _, isFile := s.files.Load(d); isFile {
			return nil, nil
		}
		if _, err := s.Store.Info(ctx, d); err == nil {
			return nil, nil
		}
		return nil, s.copy(ctx, d)
	})
	return err
}

func (s *lazyStore) copy(ctx context.Context, d digest.Digest) error {
	h, err := v1.NewHash(d.String())
	if err != nil {
		return fmt.Errorf("parsing digest %q: %w", d, errors.Join(err, errdefs.ErrInvalidArgument))
	}
	blob, err := s.open(h)
	if err != nil {
		return err
	}
	defer blob.Close()
	if file, ok := blob.(checked); ok {
		s.files.Store(d, file.Checked())
		return nil
	}
	if err := content.WriteBlob(ctx, s.Store, d.String(), blob, ocispec.Descriptor{Digest: d}); err != nil {
		return fmt.Errorf("copying blob %s: %w", d, err)
	}
	return nil
}
