//go:build interop

package interop

import (
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// push pushes what a dry run built under the release's tag, as a release that
// was interrupted after its push would have, and returns its reference by
// digest.
func (s *stage) push(t *testing.T, r release) string {
	t.Helper()
	index, err := layout.ImageIndexFromPath(filepath.Join(s.dir, "dist", "image"))
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	image, err := index.Image(manifest.Manifests[0].Digest)
	must(t, err)
	tag, err := name.NewTag(s.Registry + "/" + r.name + ":1.0.0")
	must(t, err)
	must(t, remote.Write(tag, image))
	return tag.Digest(manifest.Manifests[0].Digest.String()).String()
}
