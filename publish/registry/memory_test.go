package registry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/publish/registry"
)

// What a verification asked for once is not asked for again, and of a manifest the bytes
// count: not the digest that the registry claims for them.
func TestRemembering(t *testing.T) {
	tag := start(t, testregistry.WithReferrersSupport(true))
	digest, k := push(t, tag), key(t)
	if _, err := client.Sign(t.Context(), digest, k); err != nil {
		t.Fatal(err)
	}
	counting := &counter{asked: map[string]int{}}
	lying := transportFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := counting.RoundTrip(r)
		if err == nil && strings.HasSuffix(r.URL.Path, "/manifests/1.0.0") {
			resp.Header.Set("Docker-Content-Digest", hash(t, "another").String())
		}
		return resp, err
	})
	once := registry.Client{Transport: lying}.Remembering()
	for range 3 {
		resolved, err := once.Resolve(t.Context(), tag)
		if err != nil || resolved != digest {
			t.Errorf("resolved %s, %v; want %s", resolved, err, digest)
		}
		if _, err := once.Pull(t.Context(), digest); err != nil {
			t.Error(err)
		}
		if err := once.CheckSignature(t.Context(), digest, k.PublicKey); err != nil {
			t.Error(err)
		}
	}
	for what, n := range counting.asked {
		limit := 1
		if strings.Contains(what, "/blobs/") || strings.HasSuffix(what, ".sig") || strings.HasSuffix(what, ".att") {
			limit = 3 // what is not there may come
		}
		if n > limit && what != "GET /v2/" {
			t.Errorf("%s was asked %d times", what, n)
		}
	}
	if n := counting.asked["GET /v2/"]; n > 2 { // with TLS and without
		t.Errorf("%d logins", n)
	}
}

// A thousand large manifests do not stay in memory.
func TestAttackMemory(t *testing.T) {
	const size = 3 << 20
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			asked.Add(1)
			w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
			_, _ = io.WriteString(w, path.Base(r.URL.Path)+strings.Repeat(" ", size))
		}
	}))
	t.Cleanup(s.Close)
	repository, err := name.NewRepository(strings.TrimPrefix(s.URL, "http://") + "/acme/hello")
	if err != nil {
		t.Fatal(err)
	}
	once := registry.Client{}.Remembering()
	for range 3 {
		for _, tag := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
			if _, err := once.Resolve(t.Context(), repository.Tag(tag)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := asked.Load(); n < 8+2*(8-5) { // five of three megabytes are kept at most
		t.Errorf("%d requests: all of it was kept", n)
	}
}

// What is forgotten is asked for again, by the same login.
func TestForget(t *testing.T) {
	var asked, logins atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			logins.Add(1)
			return
		}
		asked.Add(1)
		w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(s.Close)
	repository, err := name.NewRepository(strings.TrimPrefix(s.URL, "http://") + "/acme/hello")
	if err != nil {
		t.Fatal(err)
	}
	c := registry.Client{}.Remembering()
	var first int64
	for i := range 3 {
		for range 2 {
			if _, err := c.Resolve(t.Context(), repository.Tag("1")); err != nil {
				t.Fatal(err)
			}
		}
		if n := asked.Load(); n != int64(i+1) {
			t.Errorf("%d requests before it forgot %d times", n, i)
		}
		c.Forget()
		if i == 0 {
			first = logins.Load()
		}
	}
	if n := logins.Load(); n != first {
		t.Errorf("it logged in %d times at first, and %d times in all", first, n)
	}
	registry.Client{}.Forget() // which has no memory
}
