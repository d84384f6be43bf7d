package steps_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/steps"
)

// world is a registry, which a test can make silent, or have refuse.
type world struct {
	handler http.Handler
	around  func(http.Handler) http.Handler
	at      name.Tag
	client  registry.Client
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{handler: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))}
	w.around = func(h http.Handler) http.Handler { return h }
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) { w.around(w.handler).ServeHTTP(out, r) }))
	t.Cleanup(server.Close)
	w.at = must(name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/acme/steps:buildcache"))
	return w
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// cache is a cache as BuildKit writes it, before something in it is changed.
type cache struct {
	manifest map[string]any
	layer    map[string]any
	config   string
	blobs    map[string][]byte
}

func sum(data []byte) string { h, _, _ := v1.SHA256(bytes.NewReader(data)); return h.String() }

func archive(t *testing.T) (plain, zipped []byte) {
	t.Helper()
	var raw, packed bytes.Buffer
	w := tar.NewWriter(&raw)
	check(t, w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: 4}))
	must(w.Write([]byte("text")))
	check(t, w.Close())
	z := gzip.NewWriter(&packed)
	must(z.Write(raw.Bytes()))
	check(t, z.Close())
	return raw.Bytes(), packed.Bytes()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newCache(t *testing.T) *cache {
	t.Helper()
	plain, zipped := archive(t)
	c := &cache{blobs: map[string][]byte{sum(zipped): zipped}}
	c.layer = map[string]any{
		"mediaType": types.OCILayer, "digest": sum(zipped), "size": len(zipped),
		"annotations": map[string]any{"containerd.io/uncompressed": sum(plain)},
	}
	c.config = fmt.Sprintf(`{"layers":[{"blob":%q,"parent":-1}],"records":[{"digest":%q}]}`, sum(zipped), sum([]byte("step")))
	c.manifest = map[string]any{"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "layers": []any{c.layer}}
	return c
}

// push puts a cache into the registry, as it is.
func (w *world) push(t *testing.T, c *cache) {
	t.Helper()
	if c.manifest["config"] == nil {
		c.manifest["config"] = map[string]any{"mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": sum([]byte(c.config)), "size": len(c.config)}
	}
	c.blobs[sum([]byte(c.config))] = []byte(c.config)
	base := "http://" + w.at.RegistryStr() + "/v2/acme/steps/"
	for digest, data := range c.blobs {
		w.send(t, http.MethodPost, base+"blobs/uploads/?digest="+digest, "application/octet-stream", data)
	}
	w.send(t, http.MethodPut, base+"manifests/buildcache", fmt.Sprint(c.manifest["mediaType"]), must(json.Marshal(c.manifest)))
}

func (w *world) send(t *testing.T, method, url, kind string, data []byte) {
	t.Helper()
	req := must(http.NewRequest(method, url, bytes.NewReader(data)))
	req.Header.Set("Content-Type", kind)
	resp := must(http.DefaultClient.Do(req))
	check(t, resp.Body.Close())
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
}

// fetched fetches with little time, and returns the kind of the error.
func (w *world) fetched(t *testing.T, most time.Duration) (steps.Fetched, string, steps.Kind, error) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "steps")
	got, err := steps.Fetch(t.Context(), w.client, w.at, folder, most)
	var known *steps.Error
	if err != nil && !errors.As(err, &known) {
		t.Fatalf("error of another type: %v", err)
	}
	if err != nil {
		return got, folder, known.Kind, err
	}
	return got, folder, "", nil
}

func TestStepsAreFetchedWhole(t *testing.T) {
	w, c := start(t), newCache(t)
	w.push(t, c)
	got, folder, _, err := w.fetched(t, time.Minute)
	check(t, err)
	if got.Layers != 1 || got.Digest.String() != sum(must(json.Marshal(c.manifest))) {
		t.Errorf("fetched: %+v", got)
	}
	for digest, want := range c.blobs {
		if data := must(os.ReadFile(filepath.Join(folder, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:")))); !bytes.Equal(data, want) {
			t.Errorf("blob %s: %q, want %q", digest, data, want)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "blobs", "sha256", got.Digest.Hex)); err != nil {
		t.Error(err)
	}
}

func TestWhatIsWrongWithACacheIsTold(t *testing.T) {
	_, zipped := archive(t)
	for what, test := range map[string]struct {
		change func(*cache)
		want   steps.Kind
	}{
		"another version": {func(c *cache) {
			c.manifest["config"] = map[string]any{"mediaType": "application/vnd.buildkit.cacheconfig.v1", "digest": sum([]byte(c.config)), "size": len(c.config)}
		}, steps.Foreign},
		"an image": {func(c *cache) {
			c.manifest["config"] = map[string]any{"mediaType": types.OCIConfigJSON, "digest": sum([]byte(c.config)), "size": len(c.config)}
		}, steps.Foreign},
		"an index": {func(c *cache) {
			c.manifest["mediaType"], c.manifest["manifests"] = types.OCIImageIndex, []any{}
			delete(c.manifest, "layers")
		}, steps.Foreign},
		"a list that is no JSON":          {func(c *cache) { c.config = `{"layers":` }, steps.Corrupt},
		"a list of the wrong type":        {func(c *cache) { c.config = `{"layers":"all"}` }, steps.Corrupt},
		"a list with a foreign layer":     {func(c *cache) { c.config = fmt.Sprintf(`{"layers":[{"blob":%q}]}`, sum([]byte("x"))) }, steps.Corrupt},
		"a layer of unknown content":      {func(c *cache) { delete(c.layer, "annotations") }, steps.Corrupt},
		"a layer of another content":      {func(c *cache) { c.layer["annotations"] = map[string]any{"containerd.io/uncompressed": sum(nil)} }, steps.Corrupt},
		"a layer of another size":         {func(c *cache) { c.layer["size"] = len(zipped) - 1 }, steps.Corrupt},
		"a layer without compression":     {func(c *cache) { c.layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar" }, steps.Corrupt},
		"a layer of an unknown type":      {func(c *cache) { c.layer["mediaType"] = "application/x" }, steps.Corrupt},
		"a layer that is not there":       {func(c *cache) { clear(c.blobs) }, steps.Down},
		"a layer that is larger than all": {func(c *cache) { c.layer["size"] = int64(1) << 40 }, steps.Large},
		"a negative size":                 {func(c *cache) { c.layer["size"] = -1 }, steps.Large},
		"too many layers": {func(c *cache) {
			all := make([]any, 1001)
			for i := range all {
				all[i] = c.layer
			}
			c.manifest["layers"] = all
		}, steps.Large},
	} {
		w, c := start(t), newCache(t)
		test.change(c)
		w.push(t, c)
		if _, _, kind, err := w.fetched(t, time.Minute); kind != test.want {
			t.Errorf("%s: %v, want of kind %q", what, err, test.want)
		}
	}
}

func TestWhatIsWrongWithARegistryIsTold(t *testing.T) {
	answer := func(status int) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		}
	}
	blobs := func(change func(http.ResponseWriter, *http.Request)) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/blobs/") {
					change(w, r)
					return
				}
				h.ServeHTTP(w, r)
			})
		}
	}
	for what, test := range map[string]struct {
		around func(http.Handler) http.Handler
		want   steps.Kind
	}{
		"nothing there":          {answer(http.StatusNotFound), steps.Down}, // not even a registry
		"refused":                {answer(http.StatusForbidden), steps.Refused},
		"nothing that it can do": {answer(http.StatusNotImplemented), steps.Down},
		"silent": {func(http.Handler) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		}, steps.Silent},
		"silent at a blob": {blobs(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), steps.Silent},
		"half a blob":      {blobs(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "half") }), steps.Corrupt},
	} {
		w := start(t)
		w.push(t, newCache(t))
		w.around = test.around
		begin := time.Now()
		_, _, kind, err := w.fetched(t, time.Second)
		if kind != test.want {
			t.Errorf("%s: %v, want of kind %q", what, err, test.want)
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%s: took %s", what, took)
		}
	}
	w := start(t)
	if _, _, kind, err := w.fetched(t, time.Minute); kind != steps.Missing {
		t.Errorf("an empty registry: %v", err)
	}
}

func FuzzReadingACache(f *testing.F) {
	f.Add(`{"layers":[{"blob":"sha256:00","parent":-1}]}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, config string) {
		w, c := start(t), newCache(t)
		c.config = config
		w.push(t, c)
		got, _, _, err := w.fetched(t, time.Minute)
		if err == nil && got.Layers != 1 {
			t.Errorf("fetched: %+v", got)
		}
	})
}
