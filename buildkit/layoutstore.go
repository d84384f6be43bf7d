package buildkit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/opencontainers/go-digest"
)

// layoutStore is the OCI layout that a build writes: a content store without the
// index.
//
// The layout is handed out: others may write to it. So no file of it is one that the
// builder still reads; a hard link to a blob would let them change what the builder
// believes to have.
type layoutStore struct {
	content.Store
	dir   string
	blobs string             // folder of the builder's own content store, when it can be read
	known func(v1.Hash) bool // whether a blob is known, and not needed
	held  *held
	// unwritable is told of a layout that the disk does not take: of the builder, which
	// only passes it on, it would come back as words about itself.
	unwritable func(error)
}

// held are blobs on the builder's disk that were not sent. They are open, as the builder
// may remove them.
type held struct {
	sync.Mutex
	files map[v1.Hash]*os.File
}

// holdFrom is the size from which a blob is read on the builder's disk: a layer's.
const holdFrom = 1 << 20

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

func newLayoutStore(dir, builderBlobs string, known func(v1.Hash) bool, unwritable func(error)) (layoutStore, error) {
	store, err := local.NewStore(dir)
	if err != nil {
		return layoutStore{}, fmt.Errorf("creating image layout: %w", err)
	}
	return layoutStore{store, dir, builderBlobs, known, &held{files: map[v1.Hash]*os.File{}}, unwritable}, nil
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
		return s.writer(ctx, opts)
	}
	if s.known(blob) || w.Desc.Size >= holdFrom && s.hold(blob) {
		return nil, fmt.Errorf("writing blob %s: %w", blob, errdefs.ErrAlreadyExists)
	}
	return s.writer(ctx, opts)
}

func (s layoutStore) writer(ctx context.Context, opts []content.WriterOpt) (content.Writer, error) {
	w, err := s.Store.Writer(ctx, opts...)
	if s.blame(err) != nil {
		return nil, err
	}
	return layoutWriter{w, s}, nil
}

// blame returns an error of writing, and tells it when it is the disk's.
func (s layoutStore) blame(err error) error {
	var disk syscall.Errno
	if errors.As(err, &disk) {
		s.unwritable(fmt.Errorf("writing image layout: %w", err))
	}
	return err
}

// layoutWriter writes a blob of a layout.
type layoutWriter struct {
	content.Writer
	store layoutStore
}

// Write implements io.Writer.
func (w layoutWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	return n, w.store.blame(err)
}

// Commit implements content.Writer.
func (w layoutWriter) Commit(ctx context.Context, size int64, expected digest.Digest, opts ...content.Opt) error {
	return w.store.blame(w.Writer.Commit(ctx, size, expected, opts...))
}

// hold opens a blob on the builder's disk, and reports whether it is there.
func (s layoutStore) hold(blob v1.Hash) bool {
	if s.blobs == "" {
		return false
	}
	s.held.Lock()
	defer s.held.Unlock()
	if s.held.files[blob] != nil {
		return true
	}
	file, err := openRegular(filepath.Join(s.blobs, blob.Algorithm, blob.Hex))
	if err != nil {
		return false // the builder sends it, and fails if it is not there at all
	}
	s.held.files[blob] = file
	return true
}

func (s layoutStore) heldFile(blob v1.Hash) *os.File {
	s.held.Lock()
	defer s.held.Unlock()
	return s.held.files[blob]
}

// close ends the reading of the builder's disk.
func (s layoutStore) close() error {
	s.held.Lock()
	defer s.held.Unlock()
	var errs []error
	for _, file := range s.held.files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// path is where the layout has a blob.
func (s layoutStore) path(blob v1.Hash) string {
	return filepath.Join(s.dir, "blobs", blob.Algorithm, blob.Hex)
}

// place has the layout hold a blob that was not sent; a file system that can shares the
// blocks of both. Bytes that are not the blob's are a *ChangedError. One that is nowhere is
// an error here, and not of whoever reads the image.
func (s layoutStore) place(blob v1.Hash) error {
	file := s.heldFile(blob)
	if file == nil {
		if _, err := os.Lstat(s.path(blob)); err != nil {
			return fmt.Errorf("looking for blob: %w", err)
		}
		return nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("copying blob: %w", err)
	}
	return copyBlob(blob, s.path(blob), file)
}

// bytes reads a blob that is no layer.
func (s layoutStore) bytes(blob v1.Hash) ([]byte, error) {
	if err := s.place(blob); err != nil {
		return nil, err
	}
	return layout.Path(s.dir).Bytes(blob)
}

// read has a layer read, from where it is. If what was read of the builder's disk is not
// the blob, the error is a *ChangedError.
func (s layoutStore) read(blob v1.Hash, read func(io.Reader) error) error {
	if file := s.heldFile(blob); file != nil {
		return readChecked(file, blob, read)
	}
	file, err := os.Open(s.path(blob)) // which was checked as it was written
	if err != nil {
		return fmt.Errorf("opening layer: %w", err)
	}
	return errors.Join(read(file), file.Close())
}

func readChecked(file *os.File, want v1.Hash, read func(io.Reader) error) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading layer: %w", err)
	}
	found := &sum{Writer: io.Discard, hash: sha256.New()}
	all := io.TeeReader(file, found)
	failed := read(all)
	if errors.Is(failed, context.Canceled) || errors.Is(failed, context.DeadlineExceeded) {
		return failed
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return errors.Join(failed, fmt.Errorf("reading layer: %w", err))
	}
	if found.digest() != want {
		return &ChangedError{want, found.digest()}
	}
	return failed
}

// copyBlob copies a blob to a file that may be there already.
func copyBlob(blob v1.Hash, to string, from *os.File) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("copying blob: %w", err)
	}
	got, err := copyNew(to, from)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil && got != blob {
		err = &ChangedError{blob, got}
	}
	if err != nil {
		return fmt.Errorf("copying blob: %w", errors.Join(err, os.Remove(to)))
	}
	return nil
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
