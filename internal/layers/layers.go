// Package layers reads layers of images in the forms that builders and registries keep them in.
package layers

import (
	"fmt"
	"io"
	"strings"

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
