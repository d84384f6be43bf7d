package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// layoutStore is the OCI layout that a build writes: a content store without the
// index.
//
// The layout is handed out: others may write to it. So no file of it is one that the
// builder still reads; a hard link to a blob would let them change what the builder
// believes to have.
type layoutStore struct {
	content.Store
	dir    string
	blobs  string             // folder of the builder's own content store, when it can be read
	known  func(v1.Hash) bool // whether a blob is known, and not needed
	refuse func(error)        // ends the build
}

// copyFrom is the size from which a blob is copied from the builder's disk: a layer's.
const copyFrom = 1 << 20

// ChangedError says that the builder's cache holds a layer whose bytes somebody
// changed. Nothing of that cache can be trusted: the next run begins it anew.
type ChangedError struct{ Want, Got v1.Hash }

// Error implements error.
func (e *ChangedError) Error() string {
	return fmt.Sprintf("the builder's cache holds other bytes than those of layer %s", e.Want)
}

// Evidence returns both digests.
func (e *ChangedError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want.String()}, {"actual", e.Got.String()}}
}

func newLayoutStore(dir, builderBlobs string, known func(v1.Hash) bool, refuse func(error)) (layoutStore, error) {
	store, err := local.NewStore(dir)
	if err != nil {
		return layoutStore{}, fmt.Errorf("creating image layout: %w", err)
	}
	return layoutStore{store, dir, builderBlobs, known, refuse}, nil
}

// Writer implements content.Ingester. The builder need not send a layer that it
// keeps on this machine's disk, nor one that an earlier build made a layer of.
func (s layoutStore) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var w content.WriterOpts
	for _, opt := range opts {
		if err := opt(&w); err != nil {
			return nil, err
		}
	}
	blob, err := v1.NewHash(w.Desc.Digest.String())
	if err != nil {
		return s.Store.Writer(ctx, opts...)
	}
	there := s.known(blob)
	if !there && w.Desc.Size >= copyFrom {
		there, err = s.copy(blob)
	}
	if err != nil {
		s.refuse(err)
		return nil, err
	}
	if there {
		return nil, fmt.Errorf("writing blob %s: %w", blob, errdefs.ErrAlreadyExists)
	}
	return s.Store.Writer(ctx, opts...)
}

// copy copies a blob from the builder's disk, which is faster than having it sent; a
// file system that can shares the blocks of both. It reports whether the builder's
// disk has it. Bytes that are not the blob's are a *ChangedError.
func (s layoutStore) copy(blob v1.Hash) (bool, error) {
	if s.blobs == "" {
		return false, nil
	}
	in, err := openRegular(filepath.Join(s.blobs, blob.Algorithm, blob.Hex))
	if err != nil {
		return false, nil // the builder sends it, and fails if it is not there at all
	}
	defer in.Close()
	to := filepath.Join(s.dir, "blobs", blob.Algorithm, blob.Hex)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return false, fmt.Errorf("copying blob: %w", err)
	}
	got, err := copyNew(to, in)
	if errors.Is(err, fs.ErrExist) {
		return true, nil
	}
	if err == nil && got != blob {
		err = &ChangedError{blob, got}
	}
	if err != nil {
		return false, fmt.Errorf("copying blob: %w", err)
	}
	return true, nil
}

// copyNew copies a file to a new one, and returns the digest of the copy. The kernel
// copies, so what was written is read again: from memory.
func copyNew(to string, in *os.File) (got v1.Hash, err error) {
	out, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return got, err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return got, err
	}
	got, _, err = v1.SHA256(out)
	return got, err
}
