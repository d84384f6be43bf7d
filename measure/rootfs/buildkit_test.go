package rootfs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/mrelease/mrelease/buildkit"
)

// TestAttackLayersInBuildKit asks BuildKit itself: what a COPY of everything takes from
// an image is what this package reads of it.
func TestAttackLayersInBuildKit(t *testing.T) {
	needOverlay(t)
	b, err := buildkit.Open(t.Context(), buildkit.Options{Builder: buildkit.Embedded, Path: os.Getenv("PATH"), State: filepath.Join(t.TempDir(), "state")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	copied := 0
	for seed := range uint64(16) {
		noise := rand.NewChaCha8([32]byte{byte(seed), 0xbc})
		var layers []v1.Layer
		for range 1 + seed%3 {
			data := make([]byte, 3*(1+noise.Uint64()%4))
			noise.Read(data)
			layers = append(layers, layerOf(t, hostile(t, data)))
		}
		read, readErr := Read(t.Context(), layers)
		all, err := copyAll(t, b, layers)
		if err != nil {
			continue // BuildKit cannot extract it
		}
		copied++
		if readErr != nil {
			t.Errorf("image %d: reading: %v; BuildKit extracts it", seed, readErr)
			continue
		}
		for at, file := range all.Files {
			own, ok := read.Files[at]
			if want := describe(file); want != "folder" && want != "special" && (!ok || describe(own) != want) {
				t.Errorf("image %d: %s is read as %q, %v; BuildKit has %q", seed, at, describe(own), ok, want)
			}
		}
		for at, file := range read.Files {
			if _, ok := all.Files[at]; !ok && describe(file) != "special" { // devices are not copied
				t.Errorf("image %d: %s is read as %q; BuildKit does not have it", seed, at, describe(file))
			}
		}
	}
	if copied < 4 {
		t.Errorf("BuildKit extracted only %d of the images", copied)
	}
}

// copyAll lets BuildKit extract layers and copy all files into one.
func copyAll(t *testing.T, b *buildkit.Builder, layers []v1.Layer) (*FS, error) {
	t.Helper()
	world := t.TempDir()
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", "amd64"
	if image, err = mutate.ConfigFile(image, file); err != nil {
		t.Fatal(err)
	}
	path, err := layout.Write(filepath.Join(world, "layout"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	context := filepath.Join(world, "context")
	if err := os.Mkdir(context, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(context, "Dockerfile"), []byte("FROM scratch\nCOPY --from=hostile / /\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	built, err := b.Build(t.Context(), buildkit.Source{Context: context, Contexts: map[string]string{
		"hostile": fmt.Sprintf("oci-layout://%s@%s", filepath.Join(world, "layout"), digest),
	}}, filepath.Join(world, "image"), nil)
	if err != nil {
		return nil, err
	}
	made, err := built.Image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	return Read(t.Context(), made)
}
