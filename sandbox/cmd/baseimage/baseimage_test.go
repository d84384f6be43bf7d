package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// tools puts programs of these names first on PATH.
func tools(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nset -e\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// Stand-ins for apt and mmdebstrap: the machine's release on a mirror, and a
// root file system with some of what real ones have.
const (
	fakeApt        = `echo "$SUITE main http://mirror.example/debian/"; echo "$SUITE-updates main http://other.example/"`
	fakeMmdebstrap = `
for last; do :; done
[ "$last" = http://mirror.example/debian/ ]
for f; do case "$f" in *.extracted) out=$f;; esac; done
root=$(mktemp -d)
cd "$root"
mkdir -p usr/bin usr/share/doc/x etc/apt dev
echo python > usr/bin/python3.11
ln -s python3.11 usr/bin/python3
echo docs > usr/share/doc/x/copyright
echo machine | tee etc/hostname > etc/apt/sources.list
tar --sort=name -cf "$out" .
rm -r "$root"
echo run >> "$RUNS"
`
)

// fake prepares a machine; it returns the toolchain's file and the number of
// times that mmdebstrap ran.
func fake(t *testing.T) (scone string, runs func() int) {
	t.Helper()
	suite, err := suiteOf("/etc/os-release")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	t.Setenv("SUITE", suite)
	t.Setenv("RUNS", filepath.Join(dir, "runs"))
	tools(t, map[string]string{"apt-get": fakeApt, "mmdebstrap": fakeMmdebstrap})
	scone = filepath.Join(dir, "scone")
	if err := os.WriteFile(scone, []byte("toolchain"), 0o755); err != nil {
		t.Fatal(err)
	}
	return scone, func() int {
		text, err := os.ReadFile(filepath.Join(dir, "runs"))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(text, []byte("run"))
	}
}

func imageIn(t *testing.T, dir string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digestOf(t *testing.T, image v1.Image) string {
	t.Helper()
	d, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// list returns the entries of a layer as "name" or "name -> target".
func list(t *testing.T, l v1.Layer) []string {
	t.Helper()
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Linkname != "" {
			h.Name += " -> " + h.Linkname
		}
		names = append(names, h.Name)
	}
}

func TestImage(t *testing.T) {
	scone, _ := fake(t)
	out := filepath.Join(t.TempDir(), "base")
	if err := build(t.Context(), out, scone); err != nil {
		t.Fatal(err)
	}
	image := imageIn(t, out)
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	const want = "dev/ etc/ etc/apt/ usr/ usr/bin/ usr/bin/python3 -> python3.11 opt/scone/standin/bin/python3.11 usr/share/ usr/share/doc/"
	if got := strings.Join(list(t, layers[0]), " "); got != want {
		t.Errorf("the first layer has\n%s, want\n%s", got, want)
	}
	second := list(t, layers[1])
	for _, want := range []string{
		"opt/scone/bin/scone", "opt/scone/bin/scone-signer -> opt/scone/bin/scone", "usr/bin/python3.11 -> opt/scone/bin/scone",
		"opt/scone/standin/bin/python3 -> python3.11", "usr/bin/awk -> mawk", "etc/scone-standin",
	} {
		if !slices.Contains(second, want) {
			t.Errorf("the second layer has %q and not %s", second, want)
		}
	}
}

func TestImageIsReproducible(t *testing.T) {
	scone, _ := fake(t)
	var digests []string
	for range 2 {
		out := filepath.Join(t.TempDir(), "base")
		if err := build(t.Context(), out, scone); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digestOf(t, imageIn(t, out)))
	}
	if digests[0] != digests[1] {
		t.Errorf("two runs made %s", digests)
	}
}

func TestImageIsMadeOnce(t *testing.T) {
	scone, runs := fake(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "base")
	buildIt := func() string {
		t.Helper()
		if err := build(t.Context(), out, scone); err != nil {
			t.Fatal(err)
		}
		return digestOf(t, imageIn(t, out))
	}
	first := buildIt()
	if second := buildIt(); second != first || runs() != 1 {
		t.Errorf("the second run made %s after %s; mmdebstrap ran %d times", second, first, runs())
	}
	if err := os.WriteFile(scone, []byte("another toolchain"), 0o755); err != nil {
		t.Fatal(err)
	}
	if third := buildIt(); third == first || runs() != 1 {
		t.Errorf("another toolchain made %s after %s; mmdebstrap ran %d times", third, first, runs())
	}
	if err := os.Remove(filepath.Join(out, "index.json")); err != nil {
		t.Fatal(err)
	}
	if buildIt(); runs() != 2 {
		t.Errorf("a damaged layout was not made anew")
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".base-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFailureLeavesTheImage(t *testing.T) {
	scone, _ := fake(t)
	out := filepath.Join(t.TempDir(), "base")
	tools(t, map[string]string{"mmdebstrap": "echo no such suite >&2; exit 1"})
	err := build(t.Context(), out, scone)
	if err == nil || !strings.Contains(err.Error(), "no such suite") {
		t.Errorf("the error is %v, which does not say what mmdebstrap said", err)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a layout is there: %v", err)
	}
	t.Setenv("PATH", filepath.Dir(scone))
	err = mmdebstrap(t.Context(), "suite", "file", "")
	if err == nil || !strings.Contains(err.Error(), "apt-get install mmdebstrap") {
		t.Errorf("the error is %v, which does not say what to install", err)
	}
}
