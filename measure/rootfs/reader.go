package rootfs

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/internal/layers"
)

// KindError says that what is at a path of an image is no file.
type KindError struct {
	Path string // without links
	Kind string // such as "a folder"
}

// Error implements error.
func (e *KindError) Error() string { return fmt.Sprintf("%s is %s, not a file", e.Path, e.Kind) }

// Reader opens files of an image by their paths, as a process in its container does.
// It reads a layer's list when it has to, from the topmost down, and of the content
// only what is asked for. It is for one goroutine.
type Reader struct {
	layers []v1.Layer // the lowest first
	trees  []*tree
}

// NewReader returns the reader of layers, the lowest first.
func NewReader(layers []v1.Layer) *Reader { return &Reader{layers, make([]*tree, len(layers))} }

// Open opens a file, and returns its header in the archive. The caller closes it.
//
// Errors: an [fs.ErrNotExist] when nothing is there, a [*KindError] for anything that
// is no file, links in a circle among it, and a [*LayerError] for layers that cannot
// be extracted.
func (r *Reader) Open(ctx context.Context, name string) (*tar.Header, io.ReadCloser, error) {
	n, layer, at, err := r.resolve(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if n == nil {
		return nil, nil, fmt.Errorf("opening %s in the image: %w", name, fs.ErrNotExist)
	}
	if n.isDir() {
		return nil, nil, &KindError{at, "a folder"}
	}
	if kind := n.file.content().Type; kind != tar.TypeReg {
		return nil, nil, &KindError{at, kindName(kind)}
	}
	return openEntry(ctx, r.layers[layer], n.number)
}

func kindName(kind byte) string {
	switch kind {
	case tar.TypeFifo:
		return "a named pipe"
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	}
	return fmt.Sprintf("of the kind %q", kind)
}

// resolve finds what is at a path, links followed, and in which layer; nil if nothing.
func (r *Reader) resolve(ctx context.Context, name string) (found *node, layer int, at string, err error) {
	w := way{hops: maxLinks, tooMany: &KindError{path.Clean("/" + name), "a circle of links, or behind too many"}, step: func(parts []string, last bool) (string, error) {
		n, _, err := r.look(ctx, parts)
		switch {
		case err != nil:
			return "", err
		case n != nil && !n.isDir() && n.file.content().Type == tar.TypeSymlink:
			return n.file.content().Link, nil
		case !last && (n == nil || !n.isDir()):
			return "", fmt.Errorf("opening %s in the image: %w", name, fs.ErrNotExist)
		}
		return "", nil
	}}
	parts, err := w.follow(name)
	if err != nil {
		return nil, 0, "", err
	}
	found, layer, err = r.look(ctx, parts)
	return found, layer, path.Join("/", path.Join(parts...)), err
}

// look finds what an overlay of the layers shows at a path whose folders are no
// links. Of a folder the topmost layer's is returned.
func (r *Reader) look(ctx context.Context, parts []string) (*node, int, error) {
	for layer := len(r.layers) - 1; layer >= 0; layer-- {
		t, err := r.tree(ctx, layer)
		if err != nil {
			return nil, 0, err
		}
		n, hidden := t.root, false
		for _, part := range parts {
			hidden = hidden || n.opaque
			if n = n.children[part]; n == nil {
				break
			}
			hidden = hidden || !n.isDir() // in an upper layer it is another thing
		}
		if n != nil && !n.whiteout {
			return n, layer, nil
		}
		if hidden {
			return nil, 0, nil
		}
	}
	return nil, 0, nil
}

// tree returns the list of a layer.
func (r *Reader) tree(ctx context.Context, layer int) (*tree, error) {
	if r.trees[layer] != nil {
		return r.trees[layer], nil
	}
	t := newTree(layer == 0)
	err := eachEntry(ctx, r.layers[layer], func(h *tar.Header, _ io.Reader) (bool, error) {
		return true, t.add(h, newFile(Entry{Header: h}), nil)
	})
	if err != nil {
		return nil, fmt.Errorf("layer %d: %w", layer, err)
	}
	r.trees[layer] = t
	return t, nil
}

// eachEntry shows the entries of a layer until it is told to stop.
func eachEntry(ctx context.Context, layer v1.Layer, show func(*tar.Header, io.Reader) (more bool, err error)) (err error) {
	stream, err := layers.Uncompressed(layer)
	if err != nil {
		return fmt.Errorf("opening layer: %w", err)
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	files := tar.NewReader(stream)
	for {
		h, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if errors.Is(err, tar.ErrHeader) {
			return &LayerError{"", "it is no archive: " + err.Error()}
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("reading layer: %w", err)
		}
		if h.Size > maxFile {
			return &LayerError{h.Name, fmt.Sprintf("%d bytes are more than an image can have", h.Size)}
		}
		if more, err := show(h, files); err != nil || !more {
			return err
		}
	}
}

// openEntry opens the content of an entry, counted from 0.
func openEntry(ctx context.Context, layer v1.Layer, number int) (*tar.Header, io.ReadCloser, error) {
	stream, err := layers.Uncompressed(layer)
	if err != nil {
		return nil, nil, fmt.Errorf("opening layer: %w", err)
	}
	files := tar.NewReader(stream)
	for i := 0; ; i++ {
		h, err := files.Next()
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("reading layer: %w", err), stream.Close())
		}
		if i == number {
			return h, entryReader{files, stream}, nil
		}
	}
}

// entryReader reads an entry, and closes its layer.
type entryReader struct {
	io.Reader
	io.Closer
}
