// Command imageindex adds another architecture to an image that mrelease built:
//
//	imageindex -built build/image -context build/container/amd64 -more arm64=build/container/arm64 -most 45000000 -out build/images
//
// mrelease builds for linux/amd64, as enclaves are. The other image is that one with
// other layers: the same configuration, of an image that only copies, and the files of
// its own context. That this is what a build would make is not taken for granted: the
// layers are made of the first context as well, and must be those that were built.
//
// The folder of -out then holds an index of both.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

func main() {
	var j job
	var more string
	flag.StringVar(&j.built, "built", "", "layout with the image that was built")
	flag.StringVar(&j.context, "context", "", "what it was built from")
	flag.StringVar(&more, "more", "", "ARCHITECTURE=CONTEXT to add")
	flag.StringVar(&j.out, "out", "", "layout to write")
	flag.Int64Var(&j.most, "most", 0, "bytes that an image may have; it has to be given")
	flag.Parse()
	j.arch, j.other, _ = strings.Cut(more, "=")
	if err := j.run(); err != nil {
		fmt.Fprintln(os.Stderr, "imageindex:", err)
		os.Exit(1)
	}
}

// job is what is asked for.
type job struct {
	built, context string
	arch, other    string
	out            string
	most           int64
}

func (j job) run() error {
	if j.arch == "" || j.other == "" || j.out == "" {
		return errors.New("reading flags: -more ARCHITECTURE=CONTEXT and -out are needed")
	}
	built, err := readImage(j.built)
	if err != nil {
		return fmt.Errorf("reading %s: %w", j.built, err)
	}
	if err := compare(built, j.context); err != nil {
		return fmt.Errorf("comparing %s with what %s makes: %w", j.built, j.context, err)
	}
	other, err := like(built, j.arch, j.other)
	if err != nil {
		return fmt.Errorf("making the image for %s: %w", j.arch, err)
	}
	for _, image := range []v1.Image{built, other} {
		if err := j.tell(image); err != nil {
			return err
		}
	}
	digest, err := write(j.out, built, other)
	if err != nil {
		return fmt.Errorf("writing %s: %w", j.out, err)
	}
	fmt.Printf("%s %s\n", j.out, digest)
	return nil
}

// readImage reads the one image of a layout.
func readImage(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if n := len(manifest.Manifests); n != 1 {
		return nil, fmt.Errorf("it has %d images, not one", n)
	}
	return index.Image(manifest.Manifests[0].Digest)
}

// tell prints what an image is, and how many bytes a registry gives out for it.
func (j job) tell(image v1.Image) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	size, err := image.Size()
	if err != nil {
		return err
	}
	size += manifest.Config.Size
	for _, l := range manifest.Layers {
		size += l.Size
	}
	if size > j.most {
		return fmt.Errorf("the image for %s has %d bytes, more than %d", file.Architecture, size, j.most)
	}
	fmt.Printf("%s/%s %s, %d bytes\n", file.OS, file.Architecture, digest, size)
	return nil
}
