package registry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"golang.org/x/sync/singleflight"
)

// Kept are layers on this machine's disk, in a temporary folder: whoever asks for one first
// has it fetched whole and compared with its digest, and all read it there. The zero value
// has none. It may be used from several goroutines.
type Kept struct {
	// Progress, unless it is nil, is told how much was fetched, often, and by several goroutines.
	Progress func(text string)

	lock     sync.Mutex
	dir      string // "" until something is fetched
	closed   bool
	began    time.Time
	fetching singleflight.Group
	fetched  atomic.Int64 // bytes
}

// Close removes the layers. To read one then is an error, [os.ErrClosed].
func (k *Kept) Close() error {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.closed = true
	if k.dir == "" {
		return nil
	}
	return os.RemoveAll(k.dir)
}

func (k *Kept) folder() (_ string, err error) {
	k.lock.Lock()
	defer k.lock.Unlock()
	if k.closed {
		return "", os.ErrClosed
	}
	if k.dir == "" {
		k.began = time.Now()
		k.dir, err = os.MkdirTemp("", "mrelease-layers-*")
	}
	return k.dir, err
}

// Keeping returns a client of whose images each layer is fetched once.
func (c Client) Keeping(k *Kept) Client {
	c.kept = k
	return c
}

// open opens a layer that is whole.
func (k *Kept) open(layer v1.Layer) (io.ReadCloser, error) {
	digest, err := layer.Digest()
	if err != nil {
		return nil, fmt.Errorf("reading digest of layer: %w", err)
	}
	path, err, _ := k.fetching.Do(digest.String(), func() (any, error) { return k.fetch(layer, digest) })
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path.(string))
	if err != nil {
		return nil, err
	}
	return keptFile{file}, nil
}

// keptFile is a layer that is open.
type keptFile struct{ *os.File }

// Checked returns the path of the file, which holds what its digest says. Whoever needs it as
// a file need not copy it.
func (f keptFile) Checked() string { return f.Name() }

func (k *Kept) fetch(layer v1.Layer, digest v1.Hash) (path string, err error) {
	dir, err := k.folder()
	if err != nil {
		return "", fmt.Errorf("making work folder: %w", err)
	}
	path = filepath.Join(dir, digest.Hex)
	if _, err := os.Lstat(path); err == nil {
		return path, nil
	}
	content, err := layer.Compressed() // whose end is an error unless digest and size are right
	if err != nil {
		return "", err
	}
	partial, err := os.CreateTemp(dir, "partial-*")
	if err != nil {
		return "", fmt.Errorf("keeping layer: %w", errors.Join(err, content.Close()))
	}
	_, err = io.Copy(io.MultiWriter(partial, counting(k.tell)), content)
	if err = errors.Join(err, content.Close(), partial.Close()); err == nil {
		err = os.Rename(partial.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(partial.Name()))
	}
	return path, nil
}

func (k *Kept) tell(more int) {
	sum := k.fetched.Add(int64(more))
	if k.Progress != nil {
		k.Progress(fmt.Sprintf("%.1f MB of the image's layers are fetched, %s", float64(sum)/1e6, rate(sum, k.began)))
	}
}

// counting is told how many bytes go by.
type counting func(more int)

// Write implements io.Writer.
func (c counting) Write(p []byte) (int, error) {
	c(len(p))
	return len(p), nil
}

// keep returns an image with its layers kept, if they are to be.
func (c Client) keep(image v1.Image) v1.Image {
	if c.kept == nil {
		return image
	}
	return keptImage{image, c.kept}
}

type keptImage struct {
	v1.Image
	kept *Kept
}

// Layers implements v1.Image, as the methods below.
func (i keptImage) Layers() ([]v1.Layer, error) {
	all, err := i.Image.Layers()
	if err != nil {
		return nil, err
	}
	kept := make([]v1.Layer, len(all))
	for n, layer := range all {
		if kept[n], err = i.layer(layer, nil); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// LayerByDigest implements v1.Image.
func (i keptImage) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	return i.layer(i.Image.LayerByDigest(h))
}

// LayerByDiffID implements v1.Image.
func (i keptImage) LayerByDiffID(h v1.Hash) (v1.Layer, error) {
	return i.layer(i.Image.LayerByDiffID(h))
}

func (i keptImage) layer(layer v1.Layer, err error) (v1.Layer, error) {
	if err != nil {
		return nil, err
	}
	return partial.CompressedToLayer(keptLayer{layer, i.kept})
}

type keptLayer struct {
	v1.Layer
	kept *Kept
}

// Compressed implements v1.Layer. It is a file on this machine's disk.
func (l keptLayer) Compressed() (io.ReadCloser, error) { return l.kept.open(l.Layer) }
