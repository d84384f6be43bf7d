// Package container unpacks the container image of mrelease, to be run by runc.
package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Unpack unpacks the one image of a layout, as make image-amd64 builds it, into a folder,
// and returns its configuration.
func Unpack(ctx context.Context, layoutFolder, rootfs string) (config v1.Config, err error) {
	index, err := layout.ImageIndexFromPath(layoutFolder)
	if err != nil {
		return config, fmt.Errorf("%w; make it with: make image-amd64", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return config, fmt.Errorf("reading container image: %w", err)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		return config, fmt.Errorf("reading container image: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return config, fmt.Errorf("reading container image: %w", err)
	}
	if err := os.MkdirAll(rootfs, 0o755); err != nil {
		return config, fmt.Errorf("unpacking container image: %w", err)
	}
	files := mutate.Extract(img)
	tar := exec.CommandContext(ctx, "tar", "-x", "-p", "--numeric-owner", "-C", rootfs)
	tar.Stdin = files
	out, err := tar.CombinedOutput()
	if err = errors.Join(err, files.Close()); err != nil {
		return config, fmt.Errorf("unpacking container image: %w\n%s", err, out)
	}
	return file.Config, nil
}
