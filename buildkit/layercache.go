package buildkit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layerCacheLimit is how many bytes of layers are kept for later builds.
const layerCacheLimit = 8 << 30

// layerCache keeps layers in their final form, by the digest that they have in
// the builder: one that did not change is not made anew. A layer is a file named
// by its digest, and beside it, for each form that it was made from, a file with
// what is known of it. Files are linked into image layouts.
type layerCache struct{ dir string }

// key is the file that tells what a blob of the builder is with the given time.
func (c layerCache) key(source v1.Hash, epoch time.Time) string {
	return filepath.Join(c.dir, layerForm+"-"+strconv.FormatInt(epoch.Unix(), 10)+"-"+source.Hex+".json")
}

func (c layerCache) blob(h v1.Hash) string { return filepath.Join(c.dir, h.Hex) }

// find returns the layer that was made from a blob of the builder, if it is there,
// and keeps it from being collected by another process.
func (c layerCache) find(source v1.Hash, epoch time.Time) (layer, bool) {
	var found layer
	data, err := os.ReadFile(c.key(source, epoch))
	if err != nil || json.Unmarshal(data, &found) != nil {
		return layer{}, false
	}
	info, err := os.Stat(c.blob(found.Digest))
	if err != nil || info.Size() != found.Size {
		return layer{}, false
	}
	now := time.Now()
	return found, errors.Join(os.Chtimes(c.key(source, epoch), now, now), os.Chtimes(c.blob(found.Digest), now, now)) == nil
}

// make makes the layer from a file that holds the blob in the given form.
func (c layerCache) make(ctx context.Context, file string, source v1.Hash, form types.MediaType, epoch time.Time) (made layer, err error) {
	in, err := os.Open(file)
	if err != nil {
		return layer{}, fmt.Errorf("opening layer: %w", err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	archive, err := decompress(in, form)
	if err != nil {
		return layer{}, fmt.Errorf("opening layer %s: %w", source, err)
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	work, err := os.MkdirTemp(c.dir, ".new-*")
	if err != nil {
		return layer{}, fmt.Errorf("writing layer: %w", err)
	}
	defer os.RemoveAll(work)
	if made, err = writeLayer(ctx, archive, epoch, filepath.Join(work, "layer")); err != nil {
		return layer{}, err
	}
	return made, c.keep(made, work, c.key(source, epoch))
}

// keep puts a finished layer in its place, and then what tells of it: another
// process sees both or neither.
func (c layerCache) keep(made layer, work, key string) error {
	data, err := json.Marshal(made)
	if err != nil {
		return fmt.Errorf("encoding layer: %w", err)
	}
	note := filepath.Join(work, "note")
	err = errors.Join(os.WriteFile(note, data, 0o644), os.Rename(filepath.Join(work, "layer"), c.blob(made.Digest)))
	if err == nil {
		err = os.Rename(note, key)
	}
	if err != nil {
		return fmt.Errorf("keeping layer: %w", err)
	}
	return nil
}

// place links a layer to a path, or copies it to another disk.
func (c layerCache) place(l layer, path string) error {
	err := os.Link(c.blob(l.Digest), path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return fmt.Errorf("placing layer: %w", err)
	}
	if err := errors.Join(copyFile(out, c.blob(l.Digest)), out.Close()); err != nil {
		return fmt.Errorf("placing layer: %w", err)
	}
	return nil
}

// collect removes the layers that were not used for longest, beyond a number of
// bytes, and what a killed run left. What cannot be removed stays for the next
// time.
func (c layerCache) collect(limit int64) error {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("reading layer cache: %w", err)
	}
	var kept []fs.FileInfo
	for _, f := range files {
		info, err := f.Info()
		switch {
		case err != nil:
			continue // another process removed it
		case info.IsDir() && time.Since(info.ModTime()) > 24*time.Hour:
			_ = os.RemoveAll(filepath.Join(c.dir, f.Name()))
		case !info.IsDir():
			kept = append(kept, info)
		}
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	for _, info := range kept {
		if limit -= info.Size(); limit < 0 {
			_ = os.Remove(filepath.Join(c.dir, info.Name()))
		}
	}
	return nil
}
