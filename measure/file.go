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

// readFile returns a small file's content, or nil when the image has none.
func readFile(image v1.Image, name string) (content []byte, err error) {
	_, err = openFile(image, name, func(r io.Reader, h *tar.Header) error {
		if h.Size > maxFile {
			return fmt.Errorf("it has %d bytes, more than a fingerprint can have", h.Size)
		}
		content, err = io.ReadAll(r)
		return err
	})
	return content, err
}

// maxLinks is how many links in a row are followed, as Linux does.
const maxLinks = 40

// openFile passes a regular file's content on from the topmost layer that has
// it, and follows links: layers below a whiteout are not looked at (OCI image
// specification, "Whiteouts"). It reports whether there is such a file.
func openFile(image v1.Image, name string, use func(io.Reader, *tar.Header) error) (found bool, err error) {
	layers, err := image.Layers()
	if err != nil {
		return false, fmt.Errorf("listing layers: %w", err)
	}
	s := search{name: path.Clean("/" + name), use: use}
	for range maxLinks {
		if err := s.layers(layers); err != nil || s.link == "" {
			return s.found, err
		}
		s.name, s.link, s.hidden = s.link, "", false
	}
	return false, fmt.Errorf("following links from %s: too many", name)
}

// search looks for a file in an image.
type search struct {
	name          string // absolute and clean
	use           func(io.Reader, *tar.Header) error
	found, hidden bool
	link          string // what the file links to
}

func (s *search) layers(layers []v1.Layer) error {
	for _, layer := range slices.Backward(layers) {
		if err := s.layer(layer); err != nil || s.found || s.hidden || s.link != "" {
			return err
		}
	}
	return nil
}

func (s *search) layer(layer v1.Layer) (err error) {
	r, err := layer.Uncompressed()
	if err != nil {
		return fmt.Errorf("opening layer: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	marks := whiteouts(s.name)
	files := tar.NewReader(r)
	for {
		h, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading layer: %w", err)
		}
		entry := path.Clean("/" + h.Name)
		if entry == s.name {
			return s.entry(files, h)
		}
		s.hidden = s.hidden || marks[entry]
	}
}

func (s *search) entry(r io.Reader, h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg:
		s.found = true
		return s.use(r, h)
	case tar.TypeLink: // to a path in the image
		s.link = path.Clean("/" + h.Linkname)
	case tar.TypeSymlink:
		s.link = path.Clean("/" + h.Linkname)
		if !path.IsAbs(h.Linkname) {
			s.link = path.Join(path.Dir(s.name), h.Linkname)
		}
	default:
		return errors.New("it is no regular file")
	}
	return nil
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
