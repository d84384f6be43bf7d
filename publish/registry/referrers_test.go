package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry"
)

// refer adds a referrer of one layer to an image.
func refer(t *testing.T, image name.Digest, content string, mediaType types.MediaType) name.Digest {
	t.Helper()
	subject, err := remote.Head(image)
	if err != nil {
		t.Fatal(err)
	}
	with, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte(content), mediaType))
	if err != nil {
		t.Fatal(err)
	}
	with = mutate.Subject(with, *subject).(v1.Image)
	digest, err := with.Digest()
	if err != nil {
		t.Fatal(err)
	}
	to := image.Context().Digest(digest.String())
	if err := remote.Write(to, with); err != nil {
		t.Fatal(err)
	}
	return to
}

const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// counter counts requests, and fails those for some manifests.
type counter struct {
	mu     sync.Mutex
	asked  map[string]int
	status map[string]int // by what the path ends with
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.asked[r.Method+" "+r.URL.Path]++
	c.mu.Unlock()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	for end, status := range c.status {
		if strings.HasSuffix(r.URL.Path, end) {
			resp.StatusCode = status
		}
	}
	return resp, nil
}

// What somebody who may push adds to an image is counted, and hides nothing.
func TestAttackReferrers(t *testing.T) {
	digest, k := push(t, start(t, testregistry.WithReferrersSupport(true))), key(t)
	if _, err := client.Sign(t.Context(), digest, k); err != nil {
		t.Fatal(err)
	}
	gone := refer(t, digest, "gone", bundleType)
	refer(t, digest, "no bundle", bundleType)
	refer(t, digest, "a picture", "image/png")
	refer(t, digest, strings.Repeat("x", bounds.Bundle+1), bundleType)
	refer(t, digest, `{"verificationMaterial":{"tlogEntries":[`+strings.Repeat("{},", bounds.Bundle/4)+"{}]}}", bundleType)
	for name, c := range map[string]struct {
		status int
		outage bool
	}{"gone": {404, false}, "forbidden": {403, false}, "failing": {500, true}} {
		t.Run(name, func(t *testing.T) {
			hostile := registry.Client{Transport: &counter{asked: map[string]int{}, status: map[string]int{gone.DigestStr(): c.status}}}
			said, err := hostile.Statements(t.Context(), digest, k.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			if said.Foreign != 1 || said.Unreadable != 2 || said.Others != 2 || said.Beyond != 0 {
				t.Errorf("got %+v", said)
			}
			if err := said.CheckSignature(); err != nil {
				t.Errorf("the signature among them: %v", err)
			}
			err = hostile.CheckSignature(t.Context(), digest, key(t).PublicKey)
			var unsigned *registry.UnsignedError
			var outage *registry.Error
			if c.outage && !errors.As(err, &outage) || !c.outage && !errors.As(err, &unsigned) {
				t.Errorf("another key: %v", err)
			}
		})
	}
}

func TestAttackReferrersWithoutNumber(t *testing.T) {
	const more = 20
	digest, k := push(t, start(t, testregistry.WithReferrersSupport(true))), key(t)
	if _, err := client.Sign(t.Context(), digest, k); err != nil {
		t.Fatal(err)
	}
	signed := refer(t, digest, "one", bundleType)
	index := listed{referrer: signed, times: bounds.Referrers + more}
	counting := &counter{asked: map[string]int{}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	said, err := registry.Client{Transport: index.before(counting)}.Statements(t.Context(), digest, k.PublicKey)
	runtime.ReadMemStats(&after)
	if err != nil || said.Beyond != more+2 || said.Others != bounds.Referrers || !strings.Contains(said.Aside(), "22 are beyond the 1000 that are read") {
		t.Errorf("got %+v, %v", said, err)
	}
	var larger *bounds.Error
	if err := said.Complete(); !errors.As(err, &larger) || larger.Got != "1021" { // one of the 22 is listed as something else
		t.Errorf("complete: %v, want that not all were read", err)
	}
	if n := counting.asked["GET /v2/acme/hello/manifests/"+signed.DigestStr()]; n != bounds.Referrers {
		t.Errorf("manifests were asked for %d times, want once for each of %d", n, bounds.Referrers)
	}
	if live := int64(after.HeapAlloc) - int64(before.HeapAlloc); live > 100<<20 {
		t.Errorf("%d MB are in use", live>>20)
	}
}

// A thousand referrers that are not listed as bundles hide no signature behind them.
func TestAttackReferrersInFrontOfASignature(t *testing.T) {
	digest, k := push(t, start(t, testregistry.WithReferrersSupport(true))), key(t)
	if _, err := client.Sign(t.Context(), digest, k); err != nil {
		t.Fatal(err)
	}
	index := listed{referrer: refer(t, digest, "a picture", "image/png"), times: bounds.Referrers, artifactType: "image/png"}
	said, err := registry.Client{Transport: index.before(http.DefaultTransport)}.Statements(t.Context(), digest, k.PublicKey)
	if err != nil || said.Beyond != 2 {
		t.Errorf("got %+v, %v", said, err)
	}
	if err := said.CheckSignature(); err != nil {
		t.Error(err)
	}
}

// Whoever may push adds as many referrers as they like. What cannot be a statement of a
// release keeps nobody from saying that all of them were read; what can be one does, and
// none is said to be missing that is beyond them.
func TestAttackCrowdsOfReferrers(t *testing.T) {
	digest, k := push(t, start(t, testregistry.WithReferrersSupport(true))), key(t)
	if _, err := client.Sign(t.Context(), digest, k); err != nil {
		t.Fatal(err)
	}
	picture, statement := refer(t, digest, "a picture", "image/png"), refer(t, digest, "a statement", bundleType)
	for _, times := range []int{1_001, 10_000} {
		for name, c := range map[string]struct {
			crowd    listed
			complete bool
		}{
			"pictures":                     {listed{picture, times, "image/png", ""}, true},
			"what a scanner finds":         {listed{statement, times, bundleType, "https://cosign.sigstore.dev/attestation/vuln/v1"}, true},
			"documents of another kind":    {listed{picture, times, registry.DocumentType + "other", ""}, true},
			"bundles of which no one says": {listed{statement, times, bundleType, ""}, false},
			"what may be revocations":      {listed{statement, times, bundleType, registry.PredicateType + "revocation/v1"}, false},
			"what has no type":             {listed{statement, times, "", ""}, false},
		} {
			t.Run(fmt.Sprint(times, " ", name), func(t *testing.T) {
				t.Parallel()
				said, err := registry.Client{Transport: c.crowd.before(http.DefaultTransport)}.Statements(t.Context(), digest, k.PublicKey)
				if err != nil {
					t.Fatal(err)
				}
				var larger *bounds.Error
				if err := said.Complete(); c.complete && err != nil || !c.complete && !errors.As(err, &larger) {
					t.Errorf("complete: %v, want it to be: %t", err, c.complete)
				}
				if err := said.CheckSignature(); c.complete && err != nil {
					t.Errorf("the signature behind them: %v", err)
				}
			})
		}
	}
}

// listed is a registry that lists a referrer many times, before the others.
type listed struct {
	referrer     name.Digest
	times        int
	artifactType string
	predicate    string // that the list states of it
}

func (l listed) before(next http.RoundTripper) http.RoundTripper {
	return transportFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err != nil || !strings.Contains(r.URL.Path, "/referrers/") {
			return resp, err
		}
		var list v1.IndexManifest
		if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
			return nil, err
		}
		one := fmt.Sprintf(`{"mediaType":%q,"size":1,"digest":%q,"artifactType":%q,"annotations":{"dev.sigstore.bundle.predicateType":%q}},`, types.OCIManifestSchema1, l.referrer.DigestStr(), l.artifactType, l.predicate)
		others, err := json.Marshal(list.Manifests)
		if err != nil {
			return nil, err
		}
		text := `{"schemaVersion":2,"manifests":[` + strings.Repeat(one, l.times) + string(others[1:]) + `}`
		return answer(resp, text), resp.Body.Close()
	})
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(resp *http.Response, text string) *http.Response {
	with := *resp
	with.StatusCode, with.ContentLength = http.StatusOK, int64(len(text))
	with.Header = http.Header{"Content-Type": {string(types.OCIImageIndex)}}
	with.Body = readCloser{strings.NewReader(text)}
	return &with
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// An image whose manifest is as large as it may be, and means more than that in
// memory.
func TestAttackManifest(t *testing.T) {
	tag := start(t)
	digest := push(t, tag)
	for name, text := range map[string]string{
		"of a million layers":  `{"schemaVersion":2,"mediaType":"` + string(types.OCIManifestSchema1) + `","layers":[` + strings.Repeat("{},", bounds.Manifest/4) + `{}]}`,
		"with a large config":  `{"schemaVersion":2,"mediaType":"` + string(types.OCIManifestSchema1) + `","config":{"mediaType":"x","size":1000000000,"digest":"` + digest.DigestStr() + `"},"layers":[]}`,
		"larger than the rest": strings.Repeat(" ", bounds.Manifest+1),
	} {
		t.Run(name, func(t *testing.T) {
			sum, _, err := v1.SHA256(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			hostile := registry.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
				resp, err := http.DefaultTransport.RoundTrip(r)
				if err != nil || !strings.Contains(r.URL.Path, "/manifests/") {
					return resp, err
				}
				with := answer(resp, text)
				with.Header.Set("Content-Type", string(types.OCIManifestSchema1))
				return with, resp.Body.Close()
			})}
			_, err = hostile.Pull(t.Context(), digest.Context().Digest(sum.String()))
			var larger *bounds.Error
			if !errors.As(err, &larger) {
				t.Errorf("got %v, want a *bounds.Error", err)
			}
		})
	}
}

// A registry that has its tokens given out by what only this machine can reach.
func TestAttackTokenFromInside(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://169.254.169.254/latest/meta-data",service="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(s.Close)
	digest, err := name.NewDigest(strings.TrimPrefix(s.URL, "http://") + "/acme/hello@" + hash(t, "x").String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Pull(t.Context(), digest)
	if err == nil || !strings.Contains(err.Error(), "169.254.169.254") || strings.Contains(err.Error(), "dial") {
		t.Errorf("got %v, want the address to be refused", err)
	}
	t.Log(err)
}
