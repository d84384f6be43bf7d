package measure

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Base is an image that a measured image begins with, and whose programs are trusted.
type Base struct {
	Name string `json:"name"` // "python:3.12@sha256:…", with the digest by which it is trusted
	// Documents prove which layers it has: the manifest of that digest; or the index
	// of that digest, and the manifest of its image for linux/amd64.
	Documents []string `json:"documents"`
}

// Layers returns the digests of the base's layers, the lowest first, if its documents
// are those of its digest.
func (b Base) Layers() ([]v1.Hash, error) {
	_, text, _ := strings.Cut(b.Name, "@")
	digest, err := v1.NewHash(text)
	if err != nil {
		return nil, fmt.Errorf("reading base %q: %w", b.Name, err)
	}
	for i, document := range b.Documents {
		if got, _, err := v1.SHA256(strings.NewReader(document)); err != nil || got != digest {
			return nil, fmt.Errorf("reading base %q: its document %d is %s, not %s", b.Name, i+1, got, digest)
		}
		if i == len(b.Documents)-1 {
			return layersOf(document)
		}
		if digest, err = ChildOf([]byte(document)); err != nil {
			return nil, fmt.Errorf("reading base %q: %w", b.Name, err)
		}
	}
	return nil, fmt.Errorf("reading base %q: it has no manifest", b.Name)
}

func layersOf(document string) ([]v1.Hash, error) {
	manifest, err := v1.ParseManifest(strings.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	var layers []v1.Hash
	for _, l := range manifest.Layers {
		layers = append(layers, l.Digest)
	}
	return layers, nil
}

// ChildOf returns the digest of the manifest for linux/amd64 that an index names. Of
// several it is the first, which is the one that container runtimes take.
func ChildOf(index []byte) (v1.Hash, error) {
	parsed, err := v1.ParseIndexManifest(bytes.NewReader(index))
	if err != nil {
		return v1.Hash{}, fmt.Errorf("reading index: %w", err)
	}
	i := slices.IndexFunc(parsed.Manifests, func(d v1.Descriptor) bool {
		return d.MediaType.IsImage() && d.Platform != nil && d.Platform.OS == "linux" && d.Platform.Architecture == "amd64"
	})
	if i < 0 {
		return v1.Hash{}, fmt.Errorf("reading index: it has no image for linux/amd64")
	}
	return parsed.Manifests[i].Digest, nil
}

// count returns how many layers the base has.
func (b Base) count() int {
	layers, err := b.Layers()
	if err != nil {
		return 0
	}
	return len(layers)
}

// IsOf reports whether an image begins with the base's layers.
func (b Base) IsOf(image v1.Image) (bool, error) {
	layers, err := b.Layers()
	if err != nil {
		return false, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return false, fmt.Errorf("reading manifest: %w", err)
	}
	if len(layers) == 0 || len(layers) > len(manifest.Layers) {
		return false, nil
	}
	for i, digest := range layers {
		if manifest.Layers[i].Digest != digest {
			return false, nil
		}
	}
	return true, nil
}
