package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Annotations of the image in its layout: what it was made from.
const (
	rootfsInputs = "io.mrelease.sandbox.rootfs-inputs"
	imageInputs  = "io.mrelease.sandbox.inputs"
)

// revision counts the changes of this program that change what it makes.
const revision = 1

// build makes the image in the folder out, unless it is there.
func build(ctx context.Context, out, toolchainFile string) error {
	started := time.Now()
	scone, err := readToolchain(toolchainFile)
	if err != nil {
		return err
	}
	suite, err := suiteOf("/etc/os-release")
	if err != nil {
		return err
	}
	inputs := map[string]string{rootfsInputs: digest(suite, packages)}
	inputs[imageInputs] = digest(inputs[rootfsInputs], string(scone))
	before := read(out)
	if before.annotations[imageInputs] == inputs[imageInputs] {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	work, err := os.MkdirTemp(filepath.Dir(out), ".base-")
	if err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	defer os.RemoveAll(work)
	m := maker{work: work, suite: suite, scone: scone}
	if before.annotations[rootfsInputs] == inputs[rootfsInputs] {
		m.rootfs = before.rootfs
	}
	if err := m.write(ctx, out, inputs); err != nil {
		return err
	}
	say("%s, %.1f s", out, time.Since(started).Seconds())
	return nil
}

// digest is of the parts, and of this program's revision.
func digest(parts ...string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %q", revision, parts)
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

// earlier is what an earlier run made.
type earlier struct {
	annotations map[string]string
	rootfs      v1.Layer
}

// read reads a layout. One that cannot be read counts as none: it is made anew.
func read(dir string) earlier {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return earlier{}
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		return earlier{}
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		return earlier{}
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 2 {
		return earlier{}
	}
	return earlier{annotations: manifest.Manifests[0].Annotations, rootfs: layers[0]}
}

// maker makes one image.
type maker struct {
	work   string // folder for what is not finished
	suite  string
	scone  []byte
	rootfs v1.Layer // nil: it has to be made
}

// write makes the image and lets its layout appear whole.
func (m *maker) write(ctx context.Context, out string, inputs map[string]string) error {
	image, err := m.image(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(m.work, "layout")
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("writing layout: %w", err)
	}
	if err := l.AppendImage(image, layout.WithAnnotations(inputs), layout.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"})); err != nil {
		return fmt.Errorf("writing layout: %w", err)
	}
	if err := os.Rename(out, filepath.Join(m.work, "replaced")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replacing %s: %w", out, err)
	}
	return os.Rename(dir, out)
}

func (m *maker) image(ctx context.Context) (v1.Image, error) {
	if m.rootfs == nil {
		if err := m.makeRootfs(ctx); err != nil {
			return nil, err
		}
	}
	tools, err := m.toolchain()
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, layerOf(m.rootfs, "mmdebstrap "+m.suite), layerOf(tools, "stand-in toolchain"))
	if err != nil {
		return nil, fmt.Errorf("adding layers: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", "amd64", v1.Time{Time: time.Unix(epoch, 0).UTC()}
	file.Config = config()
	return mutate.ConfigFile(image, file)
}

// config is what SCONE's curated Python images set.
func config() v1.Config {
	return v1.Config{
		Env: []string{
			"PATH=/opt/scone/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"LANG=C.UTF-8",
			"SCONE_MODE=auto",
			"SCONE_ALPINE=1",
		},
		Cmd:    []string{"python3"},
		Labels: map[string]string{"org.opencontainers.image.description": "stand-in for a SCONE base image; protects nothing"},
	}
}

func layerOf(l v1.Layer, by string) mutate.Addendum {
	return mutate.Addendum{Layer: l, History: v1.History{CreatedBy: by, Created: v1.Time{Time: time.Unix(epoch, 0).UTC()}}}
}

func (m *maker) makeRootfs(ctx context.Context) error {
	say("root file system of %s by mmdebstrap (half a minute)", m.suite)
	file := filepath.Join(m.work, "rootfs.tar")
	if err := makeRootfs(ctx, m.suite, file); err != nil {
		return err
	}
	var err error
	m.rootfs, err = compress(func() (io.ReadCloser, error) { return os.Open(file) })
	return err
}

func (m *maker) toolchain() (_ v1.Layer, err error) {
	say("stand-in toolchain")
	r, err := m.rootfs.Uncompressed()
	if err != nil {
		return nil, fmt.Errorf("reading root file system: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	interpreter, err := interpreterIn(r)
	if err != nil {
		return nil, err
	}
	content, err := makeToolchain(m.scone, interpreter)
	if err != nil {
		return nil, fmt.Errorf("making toolchain layer: %w", err)
	}
	return compress(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
}

// compress makes a layer and compresses it once.
func compress(open tarball.Opener) (v1.Layer, error) {
	l, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.DefaultCompression), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("compressing layer: %w", err)
	}
	return l, nil
}
