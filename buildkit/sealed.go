package buildkit

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// writeSealed writes the layout dir/image: the image, with a layer of the files
// in dir/files, and with what the enclave's runtime needs to know of them.
func (s Seal) writeSealed(image v1.Image, dir string) error {
	archive := filepath.Join(dir, "layer.tar")
	if err := s.archive(filepath.Join(dir, "files"), archive); err != nil {
		return fmt.Errorf("packing seal: %w", err)
	}
	layer, err := tarball.LayerFromFile(archive, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return fmt.Errorf("making layer of seal: %w", err)
	}
	sealed, err := mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{
		Created: v1.Time{Time: s.Created.UTC()}, CreatedBy: "mrelease seal " + s.Mode,
	}})
	if err != nil {
		return fmt.Errorf("appending seal: %w", err)
	}
	if sealed, err = s.configure(sealed); err != nil {
		return err
	}
	if annotated, ok := mutate.Annotations(sealed, s.Annotations).(v1.Image); ok {
		sealed = annotated
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: sealed})
	if _, err := layout.Write(filepath.Join(dir, "image"), index); err != nil {
		return fmt.Errorf("writing sealed image: %w", err)
	}
	return nil
}

// configure puts the settings that were signed into the image's environment.
func (s Seal) configure(image v1.Image) (v1.Image, error) {
	if s.Mode != SealBinaryFS {
		return image, nil
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading image configuration: %w", err)
	}
	file = file.DeepCopy()
	for _, setting := range s.Program.environment() {
		name, _, _ := strings.Cut(setting, "=")
		file.Config.Env = slices.DeleteFunc(file.Config.Env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		file.Config.Env = append(file.Config.Env, setting)
	}
	configured, err := mutate.ConfigFile(image, file)
	if err != nil {
		return nil, fmt.Errorf("changing image configuration: %w", err)
	}
	return configured, nil
}

// archive packs files and links, in the order of their paths and with the
// epoch's time. Folders are left out: those of the image keep what they are.
func (s Seal) archive(root, to string) (err error) {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	defer func() { err = errors.Join(err, w.Close(), out.Close()) }()
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return s.pack(w, root, path)
	})
}

func (s Seal) pack(w *tar.Writer, root, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	*header = tar.Header{Typeflag: header.Typeflag, Name: filepath.ToSlash(name), Linkname: link, Size: header.Size, Mode: header.Mode, ModTime: Source{Epoch: s.Epoch}.epoch()}
	if err := w.WriteHeader(header); err != nil || link != "" {
		return err
	}
	return copyFile(w, path)
}

func copyFile(w io.Writer, path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(w, f)
	return err
}
