package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layers are those that container/Dockerfile makes of a context: the files of packages,
// then the program.
func layers(context string) ([]v1.Layer, error) {
	files, err := os.ReadFile(filepath.Join(context, "files.tar"))
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(filepath.Join(context, "mrelease"))
	if err != nil {
		return nil, err
	}
	first, firstErr := unpacked(files)
	second, secondErr := copied("usr/bin/mrelease", program)
	return []v1.Layer{first, second}, errors.Join(firstErr, secondErr)
}

// made is the time that mrelease gives to all files of an image.
func made() time.Time { return time.Date(1980, 1, 2, 0, 0, 0, 0, time.UTC) }

// unpacked is the layer that ADD makes of a tar archive.
func unpacked(archive []byte) (v1.Layer, error) {
	return layer(func(w *tar.Writer) error {
		for in := tar.NewReader(bytes.NewReader(archive)); ; {
			h, err := in.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			h.ModTime = made()
			if err := w.WriteHeader(h); err != nil {
				return err
			}
			if _, err := io.Copy(w, in); err != nil {
				return err
			}
		}
	})
}

// copied is the layer that COPY makes of a program.
func copied(name string, content []byte) (v1.Layer, error) {
	return layer(func(w *tar.Writer) error {
		var folders []string
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			folders = append(folders, dir+"/")
		}
		for _, dir := range slices.Backward(folders) {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: made()}); err != nil {
				return err
			}
		}
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(content)), ModTime: made()})
		if err == nil {
			_, err = w.Write(content)
		}
		return err
	})
}

func layer(fill func(*tar.Writer) error) (v1.Layer, error) {
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	if err := errors.Join(fill(w), w.Close()); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
}

// compare makes sure that a context's layers are those of the image that was built from
// it, whatever the order and the compression of their files.
func compare(built v1.Image, context string) error {
	have, err := built.Layers()
	if err != nil {
		return err
	}
	want, err := layers(context)
	if err != nil {
		return err
	}
	if len(have) != len(want) {
		return fmt.Errorf("it has %d layers, want %d", len(have), len(want))
	}
	for i := range want {
		got, gotErr := entries(have[i])
		expected, err := entries(want[i])
		if err := errors.Join(gotErr, err); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(both(got, expected))) {
			if got[name] != expected[name] {
				return fmt.Errorf("layer %d has %s as %q, want %q", i+1, name, got[name], expected[name])
			}
		}
	}
	return nil
}

func both(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// entries describes the files of a layer, by their names.
func entries(l v1.Layer) (map[string]string, error) {
	content, err := l.Uncompressed()
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for in := tar.NewReader(content); ; {
		h, err := in.Next()
		if err == io.EOF {
			return all, content.Close()
		}
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, in); err != nil {
			return nil, err
		}
		all[path.Clean(h.Name)] = fmt.Sprintf("type %c, mode %o, owner %d:%d, time %d, link %q, content %x", h.Typeflag, h.Mode&0o7777, h.Uid, h.Gid, h.ModTime.Unix(), h.Linkname, sum.Sum(nil))
	}
}

// like is an image with another's configuration and a context's layers.
func like(built v1.Image, arch, context string) (v1.Image, error) {
	file, err := built.ConfigFile()
	if err != nil {
		return nil, err
	}
	content, err := layers(context)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), content...)
	if err != nil {
		return nil, err
	}
	with, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.RootFS = arch, with.RootFS
	return mutate.ConfigFile(image, file)
}

// write writes an index of the images, and returns its digest.
func write(dir string, images ...v1.Image) (v1.Hash, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, image := range images {
		file, err := image.ConfigFile()
		if err != nil {
			return v1.Hash{}, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: file.OS, Architecture: file.Architecture}}})
	}
	digest, err := index.Digest()
	if err != nil {
		return digest, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return digest, err
	}
	to, err := layout.Write(dir, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return digest, err
	}
	return digest, to.AppendIndex(index)
}
