package buildkit_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mrelease/mrelease/measure/rootfs"
)

// hostileLayer makes a layer of entries that meet: few names, links, whiteouts. It is
// here and not beside the reader of layers because the fuzzer would compile all of
// BuildKit anew there.
func hostileLayer(t *testing.T, noise *rand.Rand) v1.Layer {
	t.Helper()
	names := []string{"a", "b", "conf", "a/b", "b/a", "conf/a", "./a/../conf/b", "/a/conf"}
	pick := func() string { return names[noise.IntN(len(names))] }
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for i := range 1 + noise.IntN(5) {
		content := fmt.Sprint("content ", i, noise.IntN(1000))
		h := &tar.Header{Typeflag: tar.TypeReg, Name: pick(), Mode: 0o644}
		switch noise.IntN(8) {
		case 0:
			h.Typeflag = tar.TypeDir
		case 1:
			h.Typeflag, h.Linkname = tar.TypeSymlink, pick()
		case 2:
			h.Typeflag, h.Linkname = tar.TypeLink, pick()
		case 3:
			at := strings.LastIndex(h.Name, "/") + 1
			h.Name, content = h.Name[:at]+".wh."+h.Name[at:], ""
		case 4:
			h.Name, content = h.Name+"/.wh..wh..opq", ""
		}
		if h.Typeflag != tar.TypeReg {
			content = ""
		}
		h.Size = int64(len(content))
		check(t, w.WriteHeader(h))
		must(io.WriteString(w, content))
	}
	check(t, w.Close())
	return must(tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil }))
}

// readAs says what is read at each path of layers.
func readAs(t *testing.T, layers []v1.Layer) (map[string]string, error) {
	t.Helper()
	all, err := rootfs.Read(t.Context(), layers)
	if err != nil {
		return nil, err
	}
	found, reader := map[string]string{}, rootfs.NewReader(layers)
	for at, file := range all.Files {
		if file.Type == tar.TypeDir {
			continue // one without an entry of its own is not told
		}
		_, content, err := reader.Open(t.Context(), at)
		if err != nil {
			found[at] = "no file" // a link to something else
			continue
		}
		text, err := io.ReadAll(content)
		check(t, errors.Join(err, content.Close()))
		found[at] = string(text)
	}
	return found, nil
}

// TestAttackLayersInBuildKit asks BuildKit itself: what a COPY of everything takes from
// an image is what is read of its layers when it is measured.
func TestAttackLayersInBuildKit(t *testing.T) {
	t.Parallel()
	b, copied := shared(t), 0
	for seed := range uint64(24) {
		noise := rand.New(rand.NewPCG(seed, 12))
		var layers []v1.Layer
		for range 1 + seed%3 {
			layers = append(layers, hostileLayer(t, noise))
		}
		want, readErr := readAs(t, layers)
		image := must(mutate.AppendLayers(empty.Image, layers...))
		file := must(image.ConfigFile()).DeepCopy()
		file.OS, file.Architecture = "linux", "amd64"
		src := source(t, "FROM scratch\nCOPY --from=hostile / /\n", nil)
		src.Contexts["hostile"] = reference(t, must(mutate.ConfigFile(image, file)))
		built, err := b.Build(t.Context(), src, t.TempDir()+"/image", nil)
		if err != nil {
			continue // BuildKit cannot extract it
		}
		copied++
		check(t, readErr)
		got, err := readAs(t, must(built.Image.Layers()))
		check(t, err)
		for at, text := range got {
			equal(t, fmt.Sprintf("image %d: %s, as it is read and as BuildKit has it", seed, at), want[at], text)
		}
		equal(t, fmt.Sprintf("image %d: number of files", seed), len(want), len(got))
	}
	if copied < 6 {
		t.Errorf("BuildKit extracted only %d of the images", copied)
	}
}
