package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure/rootfs"
)

// maxFile bounds a fingerprint file: the longest value is a JSON object with an
// entrypoint.
const maxFile = 64 << 10

// FileError says that a file of an image, which is to be read for its measurement,
// cannot be: it is none, or too large, or the image's layers cannot be extracted.
type FileError struct {
	Path     string // as it was asked for
	Expected string
	Actual   string
	Err      error // a *rootfs.KindError or *rootfs.LayerError, or nil
}

func (e *FileError) Error() string {
	return fmt.Sprintf("the image's file %s cannot be read: %s", e.Path, e.Actual)
}

// Unwrap returns what the reader of images says.
func (e *FileError) Unwrap() error { return e.Err }

// Evidence returns what was expected and found.
func (e *FileError) Evidence() [][2]string {
	return [][2]string{{"where", e.Path + " in the image"}, {"expected", e.Expected}, {"actual", e.Actual}}
}

// LayerError says that a layer of an image cannot be extracted.
type LayerError = rootfs.LayerError

// readFile returns a small file's content, or nil when the image has none.
func readFile(ctx context.Context, image v1.Image, name string) (content []byte, err error) {
	_, err = openFile(ctx, image, name, func(r io.Reader, size int64) error {
		if size > maxFile {
			return &FileError{Path: name, Expected: fmt.Sprintf("at most %d bytes, which a fingerprint can have", maxFile), Actual: fmt.Sprintf("%d bytes", size)}
		}
		content, err = io.ReadAll(r)
		return err
	})
	return content, err
}

// openFile passes on the content of the file that a process in the image's container
// would open, and its size in bytes. It reports whether there is such a file.
func openFile(ctx context.Context, image v1.Image, name string, use func(r io.Reader, size int64) error) (found bool, err error) {
	layers, err := image.Layers()
	if err != nil {
		return false, fmt.Errorf("listing layers: %w", err)
	}
	header, file, err := rootfs.NewReader(layers).Open(ctx, name)
	var kind *rootfs.KindError
	var layer *rootfs.LayerError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.As(err, &kind), errors.As(err, &layer):
		return false, &FileError{name, "a file", err.Error(), err}
	case err != nil:
		return false, err
	}
	return true, errors.Join(use(file, header.Size), file.Close())
}
