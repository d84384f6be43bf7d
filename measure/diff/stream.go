package diff

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure/rootfs"
)

// stream opens a layer when it is first read.
func (c comparison) stream(s subject, layer int) *stream {
	if layer < 0 {
		return &stream{done: true}
	}
	return &stream{layer: s.layers[layer]}
}

// stream is a layer's entries; it has none when it is done.
type stream struct {
	layer   v1.Layer
	archive *rootfs.Archive
	count   int
	done    bool
}

// next returns nil at the end.
func (s *stream) next(ctx context.Context) (*item, error) {
	if s.done {
		return nil, nil
	}
	if s.archive == nil {
		var err error
		if s.archive, err = rootfs.Open(s.layer); err != nil {
			return nil, err
		}
	}
	e, err := s.archive.Next(ctx)
	if err == io.EOF {
		s.done = true
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.count++
	return &item{e, s.count}, nil
}

func (s *stream) close() error {
	if s.archive == nil {
		return nil
	}
	return s.archive.Close()
}
