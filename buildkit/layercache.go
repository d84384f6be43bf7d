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
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/layers"
)

// layerCacheLimit is how many bytes of layers are kept for later builds.
const layerCacheLimit = 8 << 30

// layerCache keeps layers in their final form, by the digest that they have in
// the builder: one that did not change is not made anew. A layer is a file named
// by its digest, and beside it, for each form that it was made from, a note of what
// it is. A value is for one build, into whose layout the layers are copied, since others
// may change them there; the copy is hashed.
type layerCache struct {
	form
	dir   string
	out   string // the layout's folder of blobs
	known *knownLayers
}

type knownLayers struct {
	sync.Mutex
	byKey map[string]note
}

func newLayerCache(f form, dir, out string) layerCache {
	return layerCache{f, dir, out, &knownLayers{byKey: map[string]note{}}}
}

// note is what is written of a layer.
type note struct {
	Source   v1.Hash         `json:"source"`   // in the builder
	Exported types.MediaType `json:"exported"` // the form that the builder had it in
	Epoch    int64           `json:"epoch"`
	Layer    layer           `json:"layer"`
}

// isPlain reports whether the builder had the layer without compression, so that the
// digest of the blob is that of its content, too.
func (n note) isPlain() bool { return strings.HasSuffix(string(n.Exported), "tar") }

// key is the file that tells what a blob of the builder is with the given time.
func (c layerCache) key(source v1.Hash, epoch time.Time) string {
	return filepath.Join(c.dir, c.name+"-"+strconv.FormatInt(epoch.Unix(), 10)+"-"+source.Hex+".json")
}

func (c layerCache) blob(h v1.Hash) string { return filepath.Join(c.dir, h.Hex) }

// find puts the layer that was made from a blob of the builder into the layout, if it is
// there and whole, and keeps it from being collected by another process.
func (c layerCache) find(source v1.Hash, epoch time.Time) (note, bool) {
	c.known.Lock()
	defer c.known.Unlock()
	key := c.key(source, epoch)
	if n, ok := c.known.byKey[key]; ok {
		return n, true
	}
	n, err := c.read(key, source, epoch)
	if err != nil {
		return note{}, false // it is made anew
	}
	now := time.Now()
	if errors.Join(os.Chtimes(key, now, now), os.Chtimes(c.blob(n.Layer.Digest), now, now)) != nil {
		return note{}, false
	}
	c.known.byKey[key] = n
	return n, true
}

// read reads a note, and copies the layer that it is about.
func (c layerCache) read(key string, source v1.Hash, epoch time.Time) (note, error) {
	data, err := readRegular(key, maxNote)
	if err != nil {
		return note{}, err
	}
	var n note
	if err := json.Unmarshal(data, &n); err != nil {
		return note{}, fmt.Errorf("parsing %s: %w", key, err)
	}
	if _, err := v1.NewHash(n.Layer.Digest.String()); err != nil || n.Source != source || n.Epoch != epoch.Unix() || n.Exported == "" {
		return note{}, fmt.Errorf("parsing %s: it is about something else", key)
	}
	f, err := openRegular(c.blob(n.Layer.Digest))
	if err != nil {
		return note{}, err
	}
	return n, errors.Join(copyBlob(n.Layer.Digest, filepath.Join(c.out, n.Layer.Digest.Hex), f), f.Close())
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

// making is a layer that is being made.
type making struct {
	layerCache
	note   note
	work   string // folder
	handed string // file in the layout
}

// begin begins to make the layer of a blob of the builder; the caller calls end.
func (c layerCache) begin(exported v1.Descriptor, epoch time.Time) (*making, error) {
	m := &making{layerCache: c, note: note{Source: exported.Digest, Exported: exported.MediaType, Epoch: epoch.Unix()}, handed: filepath.Join(c.out, ".new-"+exported.Digest.Hex)}
	var err error
	if m.work, err = os.MkdirTemp(c.dir, ".new-*"); err != nil {
		return nil, fmt.Errorf("writing layer: %w", err)
	}
	return m, nil
}

// end removes what was not kept.
func (m *making) end() { _ = errors.Join(os.RemoveAll(m.work), os.RemoveAll(m.handed)) }

// write makes the layer from the blob that was exported, for the cache and for the layout
// at once.
func (m *making) write(ctx context.Context, blob io.Reader) (err error) {
	archive, err := layers.Decompress(blob, m.note.Exported)
	if err != nil {
		return fmt.Errorf("opening layer %s: %w", m.note.Source, err)
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	if err := os.MkdirAll(m.out, 0o755); err != nil {
		return fmt.Errorf("writing layer: %w", err)
	}
	both, err := newFiles(m.kept(), m.handed)
	if err == nil {
		m.note.Layer, err = m.form.write(ctx, io.MultiWriter(both[0], both[1]), archive, time.Unix(m.note.Epoch, 0).UTC())
	}
	for _, file := range both {
		err = errors.Join(err, file.Close())
	}
	return err
}

// newFiles makes files; those that were made have to be closed in any case.
func newFiles(paths ...string) (files []*os.File, err error) {
	for _, path := range paths {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
		if err != nil {
			return files, fmt.Errorf("writing layer: %w", err)
		}
		files = append(files, file)
	}
	return files, nil
}

// kept is the file that the cache keeps.
func (m *making) kept() string { return filepath.Join(m.work, "layer") }

// keep puts a finished layer in its places, and then the note: another process sees
// both or neither.
func (m *making) keep() error {
	data, err := json.Marshal(m.note)
	if err != nil {
		return fmt.Errorf("encoding layer: %w", err)
	}
	made := m.note.Layer.Digest
	text := filepath.Join(m.work, "note")
	err = errors.Join(os.WriteFile(text, data, 0o644), os.Rename(m.handed, filepath.Join(m.out, made.Hex)), replace(m.kept(), m.blob(made)))
	if err == nil {
		err = replace(text, m.key(m.note.Source, time.Unix(m.note.Epoch, 0)))
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

// layersIn is where a state folder has finished layers.
func layersIn(state string) string {
	if state == "" {
		return ""
	}
	return filepath.Join(state, "layers")
}

// collectLayers keeps the cache of finished layers within its limit.
func (b *Builder) collectLayers() error {
	if _, err := os.Stat(b.layers); err != nil {
		return nil // nothing was built
	}
	return layerCache{dir: b.layers}.collect(layerCacheLimit)
}
