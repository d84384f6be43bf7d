package registry_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry"
)

// The owner of an app names its repository: one whose name holds the words that the paths of
// manifests and blobs have is bounded as any other.
func TestAttackRepositoryNamedAsAPath(t *testing.T) {
	const most = bounds.Manifest + 64<<20
	var sent atomic.Int64
	piece := strings.Repeat(" ", 1<<20)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
		for sent.Load() < 2*most {
			n, err := io.WriteString(w, piece)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	for _, repo := range []string{"acme/hello", "acme/blobs/hello", "blobs/hello", "acme/blobs"} {
		repository, err := name.NewRepository(strings.TrimPrefix(s.URL, "http://") + "/" + repo)
		if err != nil {
			t.Fatal(err)
		}
		sent.Store(0)
		_, err = registry.Client{}.Remembering().Resolve(t.Context(), repository.Tag("1.0.0"))
		if n := sent.Load(); err == nil || n > most {
			t.Errorf("%s: %s of a manifest were read, %v", repo, bounds.Bytes(n), err)
		}
	}
}

// The layers of such a repository are read as they come, and not held in memory.
func TestAttackLayerTakenForAManifest(t *testing.T) {
	taken, layer := make(chan struct{}), strings.Repeat("x", 2<<20)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		types.OCIManifestSchema1, types.OCIConfigJSON, hash(t, "{}"), types.OCILayer, hash(t, layer), len(layer))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path.Base(r.URL.Path) {
		case hash(t, manifest).String():
			w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
			_, _ = io.WriteString(w, manifest)
		case hash(t, layer).String():
			_, _ = io.WriteString(w, layer[:1<<20])
			w.(http.Flusher).Flush()
			select { // the rest comes when something of it was taken
			case <-taken:
				_, _ = io.WriteString(w, layer[1<<20:])
			case <-r.Context().Done():
			}
		}
	}))
	t.Cleanup(s.Close)
	digest, err := name.NewDigest(strings.TrimPrefix(s.URL, "http://") + "/acme/manifests/referrers/hello@" + hash(t, manifest).String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	image, err := registry.Client{}.Remembering().Pull(ctx, digest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatalf("the layer is read whole before any of it is given: %v", err)
	}
	if _, err := io.ReadFull(content, make([]byte, 1)); err != nil {
		t.Errorf("the layer is read whole before any of it is given: %v", err)
	}
	close(taken)
	if _, err := io.Copy(io.Discard, content); err != nil {
		t.Error(err)
	}
	if err := content.Close(); err != nil {
		t.Error(err)
	}
}
