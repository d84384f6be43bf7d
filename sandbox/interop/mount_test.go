//go:build interop

package interop

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	media "github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/publish/registry"
)

// mounts pushes an image beside its base, whose layers the registry has: they are not sent.
func mounts(t *testing.T, host, user string) {
	t.Helper()
	at, err := name.NewRegistry(host)
	must(t, err)
	base, err := random.Image(1<<20, 3)
	must(t, err)
	own, err := random.Layer(1000, media.OCILayer)
	must(t, err)
	image, err := mutate.AppendLayers(base, own)
	must(t, err)
	digest, err := image.Digest()
	must(t, err)
	var sent atomic.Int64
	client := registry.Client{Keychain: userOf(user), Around: func(next http.RoundTripper) http.RoundTripper { return sender{next, &sent} }}
	push := func(to name.Repository, image v1.Image) int64 {
		t.Helper()
		sent.Store(0)
		_, err := client.Push(t.Context(), to.Tag("1.0.0"), image)
		must(t, err)
		return sent.Load()
	}
	if n := push(at.Repo("base", "image"), base); n < 3<<20 {
		t.Fatalf("the base is 3 MB, and %d bytes of it were sent", n)
	}
	if n := push(at.Repo("acme", "beside"), registry.Mountable(image, at.Repo("base", "image"))); n > 100_000 {
		t.Errorf("%d bytes were sent of an image of which the registry has 3 MB", n)
	}
	there, err := client.Pull(t.Context(), at.Repo("acme", "beside").Digest(digest.String()))
	must(t, err)
	layers, err := there.Layers()
	must(t, err)
	for _, l := range layers {
		content, err := l.Compressed() // whose end is an error if it is another one
		must(t, err)
		_, err = io.Copy(io.Discard, content)
		must(t, errors.Join(err, content.Close()))
	}
	// What is named has none of the layers.
	if n := push(at.Repo("acme", "other"), registry.Mountable(image, at.Repo("base", "none"))); n < 3<<20 {
		t.Errorf("%d bytes were sent of an image of 3 MB that is nowhere", n)
	}
}

// userOf logs a user in, whatever the registry; without one nobody.
type userOf string

// Resolve implements [authn.Keychain].
func (u userOf) Resolve(authn.Resource) (authn.Authenticator, error) {
	if u == "" {
		return authn.Anonymous, nil
	}
	return &authn.Basic{Username: string(u), Password: string(u) + "'s password"}, nil
}

// sender counts the bytes that are sent.
type sender struct {
	next http.RoundTripper
	n    *atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (s sender) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		counted := *r
		counted.Body = sentBody{r.Body, s.n}
		r = &counted
	}
	return s.next.RoundTrip(r)
}

type sentBody struct {
	io.ReadCloser
	n *atomic.Int64
}

// Read implements io.Reader.
func (b sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}
