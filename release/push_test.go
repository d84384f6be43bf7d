package release

import (
	"fmt"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mrelease/mrelease/publish/registry"
)

// Layers are taken from the base's repository, where the registry is that of the release.
func TestBesideBase(t *testing.T) {
	const digest = "1111111111111111111111111111111111111111111111111111111111111111"
	to, err := name.NewRepository("registry.example.com/acme/app")
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]string{
		"pkg:docker/registry.example.com/base/python@3.11": "registry.example.com/base/python",
		"pkg:docker/registry.example.com/acme/app@1.0.0":   "", // what is there is there
		"pkg:docker/python@3.11":                           "",
		"pkg:docker/other.example.com/base/python@3.11":    "",
		"https://registry.example.com/base/python":         "",
	} {
		plain, err := random.Image(10, 1)
		if err != nil {
			t.Fatal(err)
		}
		image := mutate.Annotations(plain, map[string]string{registry.MaterialsAnnotation: fmt.Sprintf(`[{"uri":%q,"digest":"sha256:%s"}]`, uri, digest)}).(v1.Image)
		got, err := besideBase(image, to)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := got.Layers()
		if err != nil {
			t.Fatal(err)
		}
		from := ""
		if m, ok := layers[0].(*remote.MountableLayer); ok {
			from = m.Reference.Context().Name()
		}
		if from != want {
			t.Errorf("%s: layers are taken from %q, want %q", uri, from, want)
		}
	}
}
