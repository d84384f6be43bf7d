package registry

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Mountable returns an image whose layers a registry may take from another repository of its
// own, such as that of the base image: what it has there is not sent. A registry that does
// not do this is sent all of them.
func Mountable(image v1.Image, from name.Repository) v1.Image { return mountable{image, from} }

type mountable struct {
	v1.Image
	from name.Repository
}

// Layers implements v1.Image.
func (m mountable) Layers() ([]v1.Layer, error) {
	layers, err := m.Image.Layers()
	if err != nil {
		return nil, err
	}
	all := make([]v1.Layer, len(layers))
	for i, layer := range layers {
		all[i] = &remote.MountableLayer{Layer: layer, Reference: m.from.Tag(name.DefaultTag)} // of which the repository counts
	}
	return all, nil
}

// write writes an image. Where the registry does not let this login, or anybody, take layers
// from elsewhere, it is sent all of them: that is no reason to fail.
func (c Client) write(ctx context.Context, to name.Digest, image v1.Image) error {
	err := c.writeOnce(ctx, to, image)
	if m, ok := image.(mountable); ok && isRefusal(err) {
		return c.writeOnce(ctx, to, m.Image)
	}
	return err
}

func isRefusal(err error) bool {
	answer, ok := errors.AsType[*transport.Error](err)
	return ok && slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed}, answer.StatusCode)
}
