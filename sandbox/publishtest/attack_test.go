package publishtest

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"

	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// mover is a registry's user who moves a tag to another image as soon as a
// manifest was written: by its tag, or already by its digest.
type mover struct {
	t      *testing.T
	tag    name.Tag
	other  v1.Image
	behind string // what the manifest's path ends with
}

func (m mover) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/"+m.behind) {
		if err := remote.Write(m.tag, m.other); err != nil {
			m.t.Error(err)
		}
	}
	return resp, err
}

func image(t *testing.T, inputs string) v1.Image {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	return mutate.Annotations(img, map[string]string{registry.InputsAnnotation: inputs}).(v1.Image)
}

func signingKey(t *testing.T) *signing.Key {
	t.Helper()
	password := []byte("password")
	keys, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return password, nil })
	if err != nil {
		t.Fatal(err)
	}
	key, err := signing.LoadKey(keys.PrivateBytes, password)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A tag that is moved in the moment of the push is noticed by reading back.
func TestTagMovedAtThePush(t *testing.T) {
	w := startWorld(t)
	tag, err := name.NewTag(w.Registry + "/moved:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	client := registry.Client{Transport: mover{t, tag, image(t, "other"), tag.TagStr()}}
	_, err = client.Push(t.Context(), tag, image(t, "ours"))
	var taken *registry.TakenError
	if !errors.As(err, &taken) || taken.Got != "other" || taken.Want != "ours" {
		t.Errorf("got %v, want a *registry.TakenError", err)
	}
}

// Of two runs of a release that push at the same time, whose images differ in
// their seals, the slower one does not take the tag away.
func TestPushOvertaken(t *testing.T) {
	w := startWorld(t)
	tag, err := name.NewTag(w.Registry + "/overtaken:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	faster := image(t, "ours")
	client := registry.Client{Transport: mover{t, tag, faster, "sha256:"}}
	_, err = client.Push(t.Context(), tag, image(t, "ours"))
	var overtaken *registry.OvertakenError
	if !errors.As(err, &overtaken) {
		t.Errorf("got %v, want a *registry.OvertakenError", err)
	}
	digest, err := faster.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if there, err := client.Resolve(t.Context(), tag); err != nil || there.DigestStr() != digest.String() {
		t.Errorf("the tag names %s, %v; want the faster run's %s", there, err, digest)
	}
}

// One that is moved between push and signature: the signature is that of the
// image that was pushed, never of the other one.
func TestTagMovedBetweenPushAndSignature(t *testing.T) {
	w := startWorld(t)
	tag, err := name.NewTag(w.Registry + "/moved:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	client, key := registry.Client{}, signingKey(t)
	pushed, err := client.Push(t.Context(), tag, image(t, "ours"))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image(t, "other")); err != nil {
		t.Fatal(err)
	}
	if made, err := client.Sign(t.Context(), pushed, key); err != nil || !made {
		t.Fatalf("signing: %t, %v", made, err)
	}
	moved, err := client.Resolve(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	var unsigned *registry.UnsignedError
	if err := client.CheckSignature(t.Context(), moved, key.PublicKey); !errors.As(err, &unsigned) {
		t.Errorf("the other image: %v, want a *registry.UnsignedError", err)
	}
	if err := client.CheckSignature(t.Context(), pushed, key.PublicKey); err != nil {
		t.Errorf("the pushed image: %v", err)
	}
}
