package buildkit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/buildkit/engine"
)

// bigBase is a base image with layers that are copied from the builder's disk.
func bigBase(t *testing.T) string {
	t.Helper()
	data := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{7}).Read(data)
	return reference(t, image(t, v1.Config{}, files{"noise": string(data)}))
}

// wholeLayers makes sure that the layers in a layout are what its manifest says.
func wholeLayers(t *testing.T, what string, m made) {
	t.Helper()
	for i, l := range must(m.Image.Layers()) {
		read := must(l.Compressed())
		found, _, err := v1.SHA256(read)
		check(t, errors.Join(err, read.Close()))
		equal(t, what+": digest of a layer "+string(rune('0'+i)), found, must(l.Digest()))
	}
}

func overwrite(t *testing.T, file string) {
	t.Helper()
	check(t, os.Chmod(file, 0o666))
	check(t, os.WriteFile(file, []byte("a stranger's bytes"), 0o666))
}

// TestAttackHandedOutLayout lets a stranger write to an image that was handed out, and
// to the builder's own store.
func TestAttackHandedOutLayout(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	src := source(t, "FROM big\nCOPY file /\n", files{"file": "1"})
	src.Contexts["big"] = bigBase(t)
	b := openUnclosed(t, buildkit.Options{State: state})
	first := build(t, b, src)
	layers := must(first.Image.Manifest()).Layers
	t.Run("what is written to a layout does not reach the builder", func(t *testing.T) {
		for _, l := range layers {
			overwrite(t, filepath.Join(first.dir, "blobs", "sha256", l.Digest.Hex))
		}
		check(t, engine.CheckState(state)) // nor does a change of modes
		src.NoCache = true
		again := build(t, b, src)
		equal(t, "digest", again.manifest(), first.manifest())
		wholeLayers(t, "after a change of the layout", again)
	})
	t.Run("a layer that was changed in the builder is told, and the cache begun anew", func(t *testing.T) {
		stores := must(filepath.Glob(filepath.Join(state, "runc-*", "content", "blobs", "sha256", layers[0].Digest.Hex)))
		equal(t, "blobs of the base", len(stores), 1)
		check(t, os.Chmod(stores[0], 0o644))
		check(t, os.WriteFile(stores[0], []byte("a stranger's bytes"), 0o644))
		_, err := fail(t, b, src)
		var changed *buildkit.ChangedError
		if !errors.As(err, &changed) || changed.Want != layers[0].Digest {
			t.Fatalf("%v, want a ChangedError about the base's layer", err)
		}
		shut(t, b)
		discarded := false
		b = openUnclosed(t, buildkit.Options{State: state, Discarded: func() { discarded = true }})
		again := build(t, b, src)
		equal(t, "cache was thrown away", discarded, true)
		equal(t, "digest", again.manifest(), first.manifest())
		wholeLayers(t, "after a change of the builder's store", again)
	})
	shut(t, b)
}

// A base may be an uncompressed image whose layer is, byte for byte, what an earlier build
// on this builder exported and made a layer of; it stays as it is in the image all the same.
func TestABasesLayerThatWasMadeALayerStaysInTheImage(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"sent": 1, "on the builder's disk": 2 << 20} {
		t.Run(name, func(t *testing.T) {
			state := filepath.Join(t.TempDir(), "state")
			b := open(t, buildkit.Options{State: state})
			text := strings.Repeat("1", size)
			build(t, b, source(t, "FROM scratch\nCOPY file /\n", files{"file": text}))
			notes := must(filepath.Glob(filepath.Join(state, "layers", "*.json")))
			equal(t, "layers that were made", len(notes), 1)
			_, hex, _ := strings.Cut(strings.TrimSuffix(filepath.Base(notes[0]), ".json"), fmt.Sprintf("%d-", epoch.Unix()))
			exported := must(filepath.Glob(filepath.Join(state, "runc-*", "content", "blobs", "sha256", hex)))
			equal(t, "blobs of the builder", len(exported), 1)
			base := static.NewLayer(must(os.ReadFile(exported[0])), types.OCIUncompressedLayer)

			src := source(t, "FROM base\nCOPY file /\n", files{"file": text, "other": "2"})
			src.Contexts["base"] = reference(t, assemble(v1.Config{}, base))
			got := build(t, b, src)
			equal(t, "layer of the base", must(got.Image.Manifest()).Layers[0].Digest, must(base.Digest()))
			wholeLayers(t, "an image whose base an earlier build made", got)
			again := build(t, b, src)
			equal(t, "digest", again.manifest(), got.manifest())
			wholeLayers(t, "the same image again", again)
			elsewhere := build(t, open(t, buildkit.Options{}), src)
			equal(t, "digest on another builder", elsewhere.manifest(), got.manifest())
		})
	}
}
