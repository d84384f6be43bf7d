package registry_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/publish/registry"
)

// fetches counts how often a blob is fetched, and may spoil what is.
type fetches struct {
	n     atomic.Int64
	spoil atomic.Bool
}

func (f *fetches) around(next http.RoundTripper) http.RoundTripper {
	return transportFunc(func(r *http.Request) (*http.Response, error) {
		answer, err := next.RoundTrip(r)
		if err == nil && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			f.n.Add(1)
			if f.spoil.Load() {
				answer.Body = io.NopCloser(io.LimitReader(answer.Body, 100))
			}
		}
		return answer, err
	})
}

// kept returns a pushed image as a client returns it that keeps layers.
func kept(t *testing.T) (image v1.Image, f *fetches, k *registry.Kept) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	tag := start(t)
	pushed := release(t, hash(t, "inputs"))
	digest, err := client.Push(t.Context(), tag, pushed)
	if err != nil {
		t.Fatal(err)
	}
	f, k = &fetches{}, &registry.Kept{}
	keeping := registry.Client{Around: f.around}.Keeping(k)
	if image, err = keeping.Pull(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	if _, err := image.ConfigFile(); err != nil {
		t.Fatal(err)
	}
	f.n.Store(0)
	return image, f, k
}

// Whoever reads, and however: each layer is fetched once, and what is read is the layer.
func TestALayerIsFetchedOnce(t *testing.T) {
	image, f, k := kept(t)
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 4 {
		for _, l := range layers {
			readers.Go(func() { compareLayer(t, l) })
			readers.Go(func() {
				digest, _ := l.Digest()
				byDigest, err := image.LayerByDigest(digest)
				if err != nil {
					t.Error(err)
					return
				}
				compareLayer(t, byDigest)
			})
		}
	}
	readers.Wait()
	if got := f.n.Load(); got != int64(len(layers)) {
		t.Errorf("%d layers were fetched %d times", len(layers), got)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if _, err := layers[0].Compressed(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after its end: %v", err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

// compareLayer reads a layer both ways, and compares it with its digests.
func compareLayer(t *testing.T, l v1.Layer) {
	digest, _ := l.Digest()
	diff, _ := l.DiffID()
	for want, open := range map[v1.Hash]func() (io.ReadCloser, error){digest: l.Compressed, diff: l.Uncompressed} {
		content, err := open()
		if err != nil {
			t.Error(err)
			return
		}
		var all bytes.Buffer
		_, err = all.ReadFrom(content)
		if err := errors.Join(err, content.Close()); err != nil {
			t.Error(err)
		}
		if got, _, err := v1.SHA256(&all); err != nil || got != want {
			t.Errorf("read %s, want %s, %v", got, want, err)
		}
	}
}

// A layer that came half is none: the next who asks has it fetched again.
func TestAttackHalfALayerIsNotKept(t *testing.T) {
	image, f, k := kept(t)
	defer k.Close()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	f.spoil.Store(true)
	if content, err := layers[0].Compressed(); err == nil {
		content.Close()
		t.Error("half a layer is taken")
	}
	f.spoil.Store(false)
	compareLayer(t, layers[0])
	if got := f.n.Load(); got != 2 {
		t.Errorf("it was fetched %d times", got)
	}
}
