package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// makeImage is a command of the scripts: makeimage LAYOUT FOLDER [VARIABLE]...
// writes an image whose one layer holds the folder's files, with python3 as its
// program. Modes are those of the folder; the file that MTIME_OF names is a
// second younger than the others.
func makeImage(args []string) int {
	if err := writeImage(args[0], args[1], args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func writeImage(to, folder string, env []string) error {
	content, err := packFolder(folder)
	if err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		return err
	}
	image, err := mutate.Append(empty.Image, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "COPY files /", Created: v1.Time{Time: time.Unix(1700000000, 0).UTC()}}})
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: time.Unix(1700000000, 0).UTC()}
	config.Config.Entrypoint, config.Config.Env = []string{"python3"}, append([]string{"PATH=/usr/bin"}, env...)
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	_, err = layout.Write(to, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image}))
	return err
}

func packFolder(folder string) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	at := time.Unix(1700000000, 0)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: int64(info.Mode().Perm()), Size: int64(len(data)), ModTime: at}
		if os.Getenv("MTIME_OF") == name {
			h.ModTime = at.Add(time.Second)
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		return nil, err
	}
	return buf.Bytes(), w.Close()
}
