package registry_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/sandbox/registry"
)

// start returns a repository in a new registry, and its URL.
func start(t *testing.T, o registry.Options) (name.Repository, string) {
	t.Helper()
	server := httptest.NewServer(registry.New(o))
	t.Cleanup(server.Close)
	repository, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/app")
	if err != nil {
		t.Fatal(err)
	}
	return repository, server.URL
}

// push pushes an image and a signature of it, and returns both digests.
func push(t *testing.T, r name.Repository) (image, signature v1.Hash) {
	t.Helper()
	img, err := random.Image(64, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r.Tag("1.0.0"), img); err != nil {
		t.Fatal(err)
	}
	subject, err := partial.Descriptor(img)
	if err != nil {
		t.Fatal(err)
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.example.signature")
	attached, ok := mutate.Subject(artifact, *subject).(v1.Image)
	if !ok {
		t.Fatal("an image with a subject is no image")
	}
	digest, err := attached.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r.Digest(digest.String()), attached); err != nil {
		t.Fatal(err)
	}
	return subject.Digest, digest
}

func TestReferrersAreListed(t *testing.T) {
	for name, tt := range map[string]struct {
		options registry.Options
		api     int // status of the referrers API
		tag     int // status of the tag that stands in for it
	}{
		"by the API":      {registry.Options{}, http.StatusOK, http.StatusNotFound},
		"under their tag": {registry.Options{NoReferrers: true}, http.StatusNotFound, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			repository, url := start(t, tt.options)
			image, signature := push(t, repository)

			index, err := remote.Referrers(repository.Digest(image.String()))
			if err != nil {
				t.Fatal(err)
			}
			manifest, err := index.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			if len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest != signature {
				t.Errorf("referrers %v, want %s", manifest.Manifests, signature)
			}
			for path, want := range map[string]int{
				"/v2/app/referrers/" + image.String():                                           tt.api,
				"/v2/app/manifests/" + strings.Replace(image.String(), "sha256:", "sha256-", 1): tt.tag,
			} {
				if got := status(t, http.MethodGet, url+path); got != want {
					t.Errorf("GET %s: %d, want %d", path, got, want)
				}
			}
		})
	}
}

func status(t *testing.T, method, url string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// BuildKit asks for mounts from repositories that it saw elsewhere.
func TestMountFromUnknownRepositoryStartsAnUpload(t *testing.T) {
	_, url := start(t, registry.Options{})
	mount := url + "/v2/app/blobs/uploads/?mount=sha256:" + strings.Repeat("0", 64) + "&from=unknown"
	if got := status(t, http.MethodPost, mount); got != http.StatusAccepted {
		t.Errorf("got %d, want 202", got)
	}
}

func TestLogin(t *testing.T) {
	repository, _ := start(t, registry.Options{User: "alice", Password: "secret"})
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		login  authn.AuthConfig
		status int
	}{
		"right":          {authn.AuthConfig{Username: "alice", Password: "secret"}, 0},
		"wrong password": {authn.AuthConfig{Username: "alice", Password: "guess"}, http.StatusUnauthorized},
		"nobody":         {authn.AuthConfig{}, http.StatusUnauthorized},
	} {
		err := remote.Write(repository.Tag("1.0.0"), img, remote.WithAuth(authn.FromConfig(tt.login)))
		var te *transport.Error
		if errors.As(err, &te); (te == nil) != (tt.status == 0) || te != nil && te.StatusCode != tt.status {
			t.Errorf("%s: %v, want status %d", name, err, tt.status)
		}
	}
}
