package scanner

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Layout makes a layout in a folder, with an image of the program (cmd/scanner) for each of
// what it can be asked to do; and returns their names, as attest.sbom has them.
func Layout(dir, program string) (map[string]string, error) {
	layer, err := layerOf(program)
	if err != nil {
		return nil, err
	}
	into, err := layout.Write(dir, empty.Index)
	if err != nil {
		return nil, fmt.Errorf("making layout: %w", err)
	}
	names := map[string]string{}
	for _, how := range []string{Right, None, Two, Broken, Huge, Fails, Fickle} {
		image, err := imageOf(layer, how)
		if err != nil {
			return nil, err
		}
		if err := into.AppendImage(image); err != nil {
			return nil, fmt.Errorf("writing layout: %w", err)
		}
		digest, err := image.Digest()
		if err != nil {
			return nil, fmt.Errorf("hashing manifest: %w", err)
		}
		names[how] = "oci-layout://" + dir + "@" + digest.String()
	}
	return names, nil
}

func layerOf(program string) (v1.Layer, error) {
	data, err := os.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("reading program: %w", err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "scanner", Mode: 0o755, Size: int64(len(data))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil })
}

func imageOf(layer v1.Layer, how string) (v1.Image, error) {
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("making image: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("making image: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", "amd64"
	file.Config = v1.Config{Entrypoint: []string{"/scanner"}, Cmd: []string{how}}
	return mutate.ConfigFile(image, file)
}
