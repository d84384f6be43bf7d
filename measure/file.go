package measure

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxFile bounds a fingerprint file: the longest value is a JSON object with an
// entrypoint.
const maxFile = 64 << 10

// readFile returns a regular file's content from the topmost layer that has
// it, or nil when the image has none: layers below a whiteout are not looked at
// (OCI image specification, "Whiteouts").
func readFile(image v1.Image, name string) ([]byte, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, fmt.Errorf("listing layers: %w", err)
	}
	for _, layer := range slices.Backward(layers) {
		content, done, err := readLayer(layer, path.Clean("/"+name))
		if err != nil || done {
			return content, err
		}
	}
	return nil, nil
}

// readLayer looks through one layer; done means that lower layers have no say.
func readLayer(layer v1.Layer, name string) (content []byte, done bool, err error) {
	r, err := layer.Uncompressed()
	if err != nil {
		return nil, false, fmt.Errorf("opening layer: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	hidden := whiteouts(name)
	files := tar.NewReader(r)
	for {
		h, err := files.Next()
		if err == io.EOF {
			return nil, done, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("reading layer: %w", err)
		}
		entry := path.Clean("/" + h.Name)
		if entry == name {
			content, err := readEntry(files, h)
			return content, true, err
		}
		done = done || hidden[entry]
	}
}

// whiteouts returns the entries that hide name in the layers below.
func whiteouts(name string) map[string]bool {
	hidden := map[string]bool{}
	for p := name; p != "/"; p = path.Dir(p) {
		dir, base := path.Split(p)
		hidden[dir+".wh."+base] = true
		hidden[dir+".wh..wh..opq"] = true
	}
	return hidden
}

func readEntry(r io.Reader, h *tar.Header) ([]byte, error) {
	if h.Typeflag != tar.TypeReg {
		return nil, errors.New("it is no regular file")
	}
	if h.Size > maxFile {
		return nil, fmt.Errorf("it has %d bytes, more than a fingerprint can have", h.Size)
	}
	return io.ReadAll(r)
}
