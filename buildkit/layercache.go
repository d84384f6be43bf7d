package buildkit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
)

// layerCacheLimit is how many bytes of layers are kept for later builds.
const layerCacheLimit = 8 << 30

// layerCache keeps layers in their final form, by the digest that they have in
// the builder: one that did not change is not made anew. A layer is a file named
// by its digest, and beside it, for each form that it was made from, a note of what
// it is. Files are copied into image layouts, where others may change them. Each
// is hashed before it is used; one value is for one build, and hashes a file once.
type layerCache struct {
	dir   string
	known *knownLayers
}

type knownLayers struct {
	sync.Mutex
	byKey map[string]layer
}

func newLayerCache(dir string) layerCache {
	return layerCache{dir, &knownLayers{byKey: map[string]layer{}}}
}

// note is what is written of a layer.
type note struct {
	Source v1.Hash `json:"source"` // in the builder
	Epoch  int64   `json:"epoch"`
	Layer  layer   `json:"layer"`
}

// key is the file that tells what a blob of the builder is with the given time.
func (c layerCache) key(source v1.Hash, epoch time.Time) string {
	return filepath.Join(c.dir, layerForm+"-"+strconv.FormatInt(epoch.Unix(), 10)+"-"+source.Hex+".json")
}

func (c layerCache) blob(h v1.Hash) string { return filepath.Join(c.dir, h.Hex) }

// find returns the layer that was made from a blob of the builder, if it is there
// and whole, and keeps it from being collected by another process.
func (c layerCache) find(source v1.Hash, epoch time.Time) (layer, bool) {
	c.known.Lock()
	defer c.known.Unlock()
	key := c.key(source, epoch)
	if l, ok := c.known.byKey[key]; ok {
		return l, true
	}
	l, err := c.read(key, source, epoch)
	if err != nil {
		return layer{}, false // it is made anew
	}
	now := time.Now()
	if errors.Join(os.Chtimes(key, now, now), os.Chtimes(c.blob(l.Digest), now, now)) != nil {
		return layer{}, false
	}
	c.known.byKey[key] = l
	return l, true
}

// read reads a note, and the layer that it is about.
func (c layerCache) read(key string, source v1.Hash, epoch time.Time) (layer, error) {
	data, err := readRegular(key, maxNote)
	if err != nil {
		return layer{}, err
	}
	var n note
	if err := json.Unmarshal(data, &n); err != nil {
		return layer{}, fmt.Errorf("parsing %s: %w", key, err)
	}
	if _, err := v1.NewHash(n.Layer.Digest.String()); err != nil || n.Source != source || n.Epoch != epoch.Unix() {
		return layer{}, fmt.Errorf("parsing %s: it is about something else", key)
	}
	f, err := openRegular(c.blob(n.Layer.Digest))
	if err != nil {
		return layer{}, err
	}
	found, size, err := v1.SHA256(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return layer{}, err
	}
	if found != n.Layer.Digest || size != n.Layer.Size {
		return layer{}, fmt.Errorf("reading layer %s: it was changed", n.Layer.Digest)
	}
	return n.Layer, nil
}

// maxNote bounds what is read of a note, in bytes.
const maxNote = 4096

func readRegular(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit))
	return data, errors.Join(err, f.Close())
}

// openRegular opens a file, and nothing else: a pipe would be waited for, and a link
// could lead anywhere.
func openRegular(path string) (*os.File, error) {
	f, _, err := bounds.OpenItself(path)
	return f, err
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
	return made, c.keep(note{source, epoch.Unix(), made}, work, c.key(source, epoch))
}

// keep puts a finished layer in its place, and then the note: another process sees
// both or neither.
func (c layerCache) keep(n note, work, key string) error {
	data, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encoding layer: %w", err)
	}
	text, blob := filepath.Join(work, "note"), c.blob(n.Layer.Digest)
	err = errors.Join(os.WriteFile(text, data, 0o644), replace(filepath.Join(work, "layer"), blob))
	if err == nil {
		err = replace(text, key)
	}
	if err != nil {
		return fmt.Errorf("keeping layer: %w", err)
	}
	return nil
}

// replace moves a file to a path, whatever is there.
func replace(file, path string) error {
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return os.Rename(file, path)
}

// place copies a layer to a path.
func (c layerCache) place(l layer, path string) error {
	in, err := openRegular(c.blob(l.Digest))
	if err != nil {
		return fmt.Errorf("placing layer: %w", err)
	}
	got, err := copyNew(path, in)
	if err = errors.Join(err, in.Close()); errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil && got != l.Digest {
		err = &ChangedError{l.Digest, got}
	}
	if err != nil {
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
