package release

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/publish/record"
)

// bases returns the images that an image was made from, by its own list, and whose
// programs are trusted: the configuration, the Dockerfile or the accepted lock names
// their digests. The list itself need not be true: what is proven is that the image
// begins with their layers.
func (m Maker) bases(ctx context.Context, image v1.Image) ([]measure.Base, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	var from record.Source
	if err := from.ReadAnnotations(manifest.Annotations); err != nil {
		return nil, err
	}
	var found []measure.Base
	for _, material := range from.Materials {
		short, isImage := lock.ImageName(material.URI)
		if !isImage {
			continue
		}
		trusted, err := m.trusts(material.Digest.Hash)
		if err != nil {
			return nil, err
		}
		if !trusted {
			m.Teller.Note(fmt.Sprintf("%s@%s is pinned by its digest nowhere, so what its programs print is not trusted: name it in build.bases", short, material.Digest))
			continue
		}
		base, err := m.base(ctx, short, material.Digest.Hash)
		if err != nil {
			return nil, err
		}
		found = append(found, base)
	}
	return found, nil
}

// trusts reports whether a digest is written where the app's author writes digests
// that are trusted.
func (m Maker) trusts(digest v1.Hash) (bool, error) {
	for _, pin := range m.Settings.Build.Bases {
		if string(pin) == digest.String() {
			return true, nil
		}
	}
	for _, value := range m.Settings.Build.Contexts {
		if strings.HasSuffix(value, "@"+digest.String()) {
			return true, nil
		}
	}
	if m.Accepted != nil {
		for _, base := range m.Accepted.Bases {
			if base == digest.String() {
				return true, nil
			}
		}
	}
	dockerfile, err := bounds.ReadFile(m.Settings.DockerfilePath(), bounds.Dockerfile)
	if err != nil {
		return false, fmt.Errorf("reading Dockerfile: %w", err)
	}
	return bytes.Contains(dockerfile, []byte("@"+digest.String())), nil
}

// base reads the documents that prove which layers a base has.
func (m Maker) base(ctx context.Context, short string, digest v1.Hash) (measure.Base, error) {
	read, err := m.documents(short, digest)
	if err != nil {
		return measure.Base{}, err
	}
	base := measure.Base{Name: short + "@" + digest.String()}
	for next := digest; ; {
		document, err := read(ctx, next)
		if err != nil {
			return measure.Base{}, fmt.Errorf("reading manifest of base %s: %w", base.Name, err)
		}
		base.Documents = append(base.Documents, string(document))
		if len(base.Documents) == 2 || !isIndex(document) {
			return base, nil
		}
		if next, err = measure.ChildOf(document); err != nil {
			return measure.Base{}, fmt.Errorf("reading base %s: %w", base.Name, err)
		}
	}
}

func isIndex(document []byte) bool {
	index, err := v1.ParseIndexManifest(bytes.NewReader(document))
	return err == nil && len(index.Manifests) > 0
}

// reader reads a manifest or an index by its digest.
type reader func(ctx context.Context, digest v1.Hash) ([]byte, error)

// documents returns the reader of where a base is: a folder, or a registry.
func (m Maker) documents(short string, digest v1.Hash) (reader, error) {
	for _, value := range m.Settings.Build.Contexts {
		if folder, ok := strings.CutSuffix(strings.TrimPrefix(value, "oci-layout://"), "@"+digest.String()); ok && strings.HasPrefix(value, "oci-layout://") {
			return func(_ context.Context, d v1.Hash) ([]byte, error) {
				return bounds.ReadFile(filepath.Join(folder, "blobs", d.Algorithm, d.Hex), bounds.Manifest)
			}, nil
		}
	}
	ref, err := name.ParseReference(short)
	if err != nil {
		return nil, fmt.Errorf("parsing name of base: %w", err)
	}
	return func(ctx context.Context, d v1.Hash) ([]byte, error) {
		return m.Registry.Document(ctx, ref.Context().Digest(d.String()))
	}, nil
}
