package release

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// ImageError says that something names no image that can be opened.
type ImageError struct{ Where, Problem string }

// Error implements error.
func (e *ImageError) Error() string { return e.Problem }

// Evidence returns what was named.
func (e *ImageError) Evidence() [][2]string {
	return [][2]string{{"expected", "the folder of an OCI layout with one image, or a reference with its registry"}, {"actual", e.Where}}
}

// OpenImage opens the folder of an OCI layout with one image, or a reference in a
// registry, with the client's credentials for it. A reference must name its registry,
// or its digest: no name of a file is looked up in a registry. A folder that is named as a
// digest in a registry is none unless it is named by a path (./…): it may be anybody's. Its
// error is an [*ImageError], or that of the registry.
func OpenImage(ctx context.Context, client registry.Client, where string) (v1.Image, error) {
	if isFolder(where) {
		return openLayout(where)
	}
	ref, err := reference(where)
	if err != nil {
		return nil, err
	}
	image, err := pull(ctx, client, ref)
	var missing *registry.MissingError
	if errors.As(err, &missing) {
		return nil, &ImageError{where, missing.Error()}
	}
	return image, err
}

func isFolder(where string) bool {
	info, err := os.Stat(where)
	return err == nil && info.IsDir() && (isPath(where) || !strings.Contains(where, "@sha256:"))
}

func pull(ctx context.Context, client registry.Client, ref name.Reference) (v1.Image, error) {
	if tag, ok := ref.(name.Tag); ok {
		digest, err := client.Resolve(ctx, tag)
		if err != nil {
			return nil, err
		}
		return client.Pull(ctx, digest)
	}
	return client.Pull(ctx, ref.(name.Digest))
}

// notInRegistry says why something is no name in a registry: it is in the file
// system, even if it cannot be opened, or could only be there.
func notInRegistry(where string) string {
	if info, err := os.Lstat(where); err == nil {
		if info.Mode()&os.ModeSymlink != 0 {
			info, err = os.Stat(where)
		}
		if err != nil {
			return fmt.Sprintf("%q is a link that leads to nothing", where)
		}
		if info.IsDir() {
			return fmt.Sprintf("there is a folder %q, which is named as an image in a registry: call it ./%s", where, where)
		}
		return fmt.Sprintf("%q is %s, which is no image", where, kindOf(info.Mode()))
	}
	first, _, isPath := strings.Cut(where, "/")
	if info, err := os.Stat(first); isPath && err == nil && info.IsDir() || first == "" || strings.Trim(first, ".") == "" {
		return fmt.Sprintf("there is no file and no folder %q", where)
	}
	return ""
}

// reference reads what must be one, with its registry. Its error is an [*ImageError].
func reference(where string) (name.Reference, error) {
	if problem := notInRegistry(where); problem != "" {
		return nil, &ImageError{where, problem}
	}
	ref, err := name.ParseReference(where)
	if err != nil {
		return nil, &ImageError{where, fmt.Sprintf("%q is neither a folder nor an image reference", where)}
	}
	if !namesRegistry(where) {
		return nil, &ImageError{where, fmt.Sprintf("there is no file and no folder %q, and as an image it lacks its registry (docker.io/…)", where)}
	}
	return ref, nil
}

// CheckPinned makes sure that something names an image that is the same tomorrow: the
// folder of an OCI layout, or a reference with its digest. Its error is an
// [*ImageError].
func CheckPinned(where string) error {
	if isFolder(where) {
		return nil
	}
	ref, err := reference(where)
	if err != nil {
		return err
	}
	if _, pinned := ref.(name.Digest); !pinned {
		return &ImageError{where, fmt.Sprintf("want IMAGE@sha256:… or a folder, got %q: a tag can be moved", where)}
	}
	return nil
}

// namesRegistry reports whether a reference says in which registry, or of which
// image, it is: else it could be the name of a file that is missing, as one could be
// that ends as the files do that this program writes.
func namesRegistry(reference string) bool {
	host, _, ok := strings.Cut(reference, "/")
	if slices.Contains([]string{".json", ".lock", ".yaml", ".yml"}, filepath.Ext(reference)) {
		return false
	}
	return strings.Contains(reference, "@") || ok && (strings.ContainsAny(host, ".:") || host == "localhost")
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "a file"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "no file"
}

func openLayout(dir string) (v1.Image, error) {
	path, err := layout.FromPath(dir)
	if err != nil {
		return nil, &ImageError{dir, dir + " is no OCI layout"}
	}
	index, err := path.ImageIndex()
	if err != nil {
		return nil, damaged(dir, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, damaged(dir, err)
	}
	if len(manifest.Manifests) != 1 {
		return nil, &ImageError{dir, fmt.Sprintf("the OCI layout %s holds %d images, want one", dir, len(manifest.Manifests))}
	}
	image, err := path.Image(manifest.Manifests[0].Digest)
	if err != nil {
		return nil, damaged(dir, err)
	}
	if _, err := image.Manifest(); err != nil {
		return nil, damaged(dir, err)
	}
	if _, err := image.ConfigFile(); err != nil {
		return nil, damaged(dir, err)
	}
	return image, nil
}

func damaged(dir string, err error) error {
	return &ImageError{dir, fmt.Sprintf("the OCI layout %s cannot be read: %v", dir, err)}
}

// OpenRecorded opens the image of a record, by its digest.
func OpenRecorded(ctx context.Context, client registry.Client, rec record.Record) (v1.Image, name.Digest, error) {
	tag, err := name.NewTag(rec.Image.Reference)
	if err != nil {
		return nil, name.Digest{}, fmt.Errorf("parsing reference: %w", err)
	}
	digest := tag.Digest(rec.Image.Digest.String())
	image, err := client.Pull(ctx, digest)
	return image, digest, err
}
