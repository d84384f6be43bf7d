package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// newContext makes what an image is built from; the program's text tells it from others.
func newContext(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []tar.Header{{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, {Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644, Size: 4}, {Typeflag: tar.TypeSymlink, Name: "bin", Linkname: "usr/bin", Mode: 0o777}} {
		must(t, w.WriteHeader(&h))
		_, err := w.Write([]byte("root")[:h.Size])
		must(t, err)
	}
	must(t, w.Close())
	must(t, os.WriteFile(filepath.Join(dir, "files.tar"), archive.Bytes(), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "mrelease"), []byte(program), 0o755))
	return dir
}

// newBuilt writes a layout with the image that a builder would make of a context.
func newBuilt(t *testing.T, context string) string {
	t.Helper()
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: v1.Config{Entrypoint: []string{"/usr/bin/mrelease"}, Env: []string{"A=b"}}})
	must(t, err)
	content, err := layers(context)
	must(t, err)
	image, err := mutate.AppendLayers(base, content...)
	must(t, err)
	dir := t.TempDir()
	to, err := layout.Write(dir, empty.Index)
	must(t, err)
	must(t, to.AppendImage(image))
	return dir
}

func TestAnImageForAnotherArchitecture(t *testing.T) {
	context := newContext(t, "for amd64")
	j := job{built: newBuilt(t, context), context: context, arch: "arm64", other: newContext(t, "for arm64"), most: 1 << 20}
	var digests []v1.Hash
	for range 2 {
		j.out = filepath.Join(t.TempDir(), "images")
		must(t, j.run())
		outer, err := layout.ImageIndexFromPath(j.out)
		must(t, err)
		manifest, err := outer.IndexManifest()
		must(t, err)
		digests = append(digests, manifest.Manifests[0].Digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("twice made, the indices are %s", digests)
	}
	outer, err := layout.ImageIndexFromPath(j.out)
	must(t, err)
	index, err := outer.ImageIndex(digests[0])
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	for i, arch := range []string{"amd64", "arm64"} {
		if p := manifest.Manifests[i].Platform; p == nil || p.OS != "linux" || p.Architecture != arch {
			t.Errorf("image %d is for %v, want %s", i, p, arch)
		}
		image, err := index.Image(manifest.Manifests[i].Digest)
		must(t, err)
		file, err := image.ConfigFile()
		must(t, err)
		if file.Architecture != arch || file.Config.Entrypoint[0] != "/usr/bin/mrelease" || file.Config.Env[0] != "A=b" {
			t.Errorf("the configuration of %s is %+v", arch, file)
		}
		content := mutate.Extract(image)
		var all bytes.Buffer
		_, err = all.ReadFrom(content)
		must(t, err)
		must(t, content.Close())
		if !strings.Contains(all.String(), "for "+arch) || !strings.Contains(all.String(), "etc/passwd") {
			t.Errorf("the files of %s are %q", arch, all.String())
		}
	}
}

// An image whose Dockerfile did something else with its context is no model.
func TestAnImageThatIsNoModel(t *testing.T) {
	for name, tt := range map[string]struct {
		built, context string
		most           int64
		want           string
	}{
		"another program": {newBuilt(t, newContext(t, "one")), newContext(t, "two"), 1 << 20, "layer 2 has usr/bin/mrelease as"},
		"too large":       {newBuilt(t, newContext(t, "one")), newContext(t, "one"), 10, "more than 10"},
		"no image":        {t.TempDir(), newContext(t, "one"), 1 << 20, "reading"},
	} {
		j := job{built: tt.built, context: tt.context, arch: "arm64", other: newContext(t, "x"), most: tt.most, out: filepath.Join(t.TempDir(), "images")}
		if err := j.run(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
