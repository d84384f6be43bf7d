// Package layers reads layers of images in the forms that builders and registries keep them in.
package layers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// window bounds the memory that a layer can ask for, in bytes: whoever wrote it chose how far
// back it refers. It is what zstd's own program reads without being told to take more (its
// manual, --long).
const window = 128 << 20

// Decompress opens a layer of a media type, such as
// application/vnd.oci.image.layer.v1.tar+gzip. Closing it does not close the layer.
func Decompress(layer io.Reader, form types.MediaType) (io.ReadCloser, error) {
	switch {
	case strings.HasSuffix(string(form), "gzip"):
		return gzip.NewReader(layer)
	case strings.HasSuffix(string(form), "zstd"):
		z, err := zstd.NewReader(layer, zstd.WithDecoderMaxMemory(window))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case strings.HasSuffix(string(form), "tar"):
		return io.NopCloser(layer), nil
	}
	return nil, fmt.Errorf("unknown form of layer %q", form)
}

// Uncompressed opens the tar in a layer, whatever its media type says: by its first bytes, as
// those go who unpack images.
func Uncompressed(layer v1.Layer) (io.ReadCloser, error) {
	stream, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	peeked := bufio.NewReaderSize(stream, 64<<10)
	form, err := formOf(peeked)
	if err != nil {
		return nil, errors.Join(err, stream.Close())
	}
	content, err := Decompress(peeked, form)
	if err != nil {
		return nil, errors.Join(err, stream.Close())
	}
	return opened{content, stream}, nil
}

// formOf tells the form of a layer by the magic numbers of RFC 1952, 2.3.1, and RFC 8878,
// 3.1.1 and 3.1.2.
func formOf(r *bufio.Reader) (types.MediaType, error) {
	head, err := r.Peek(4)
	switch {
	case err != nil && err != io.EOF:
		return "", err
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}):
		return types.OCILayer, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18}):
		return types.OCILayerZStd, nil
	}
	return types.OCIUncompressedLayer, nil
}

// opened is the tar in a layer, and the layer.
type opened struct {
	io.ReadCloser
	layer io.Closer
}

// Close implements io.Closer.
func (o opened) Close() error { return errors.Join(o.ReadCloser.Close(), o.layer.Close()) }
