package publishtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
	sandbox "github.com/mrelease/mrelease/sandbox/registry"
)

// robots logs in to any registry.
type robots struct{}

func (robots) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: sandbox.Robot, Password: sandbox.RobotPassword}), nil
}

// strange starts a registry with habits, and returns a tag in it. It counts writes.
func strange(t *testing.T, habits string) (tag name.Tag, writes *int) {
	t.Helper()
	var o sandbox.Options
	var err error
	if habits != "" {
		if o.Habits, err = sandbox.Habits(habits); err != nil {
			t.Fatal(err)
		}
	}
	writes = new(int)
	h := sandbox.New(o)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			*writes++ // the client writes one thing at a time, but for layers
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	if tag, err = name.NewTag(strings.TrimPrefix(s.URL, "http://") + "/acme/hello:1.0.0"); err != nil {
		t.Fatal(err)
	}
	return tag, writes
}

// What registries are known to do otherwise, alone and together. After a release both
// statements are found by whoever looks; where they could not be, that is said before
// the image is pushed; and looking writes nothing.
func TestCaseHabitsOfRegistries(t *testing.T) {
	key, other := signingKey(t), signingKey(t)
	for habits, want := range map[string]registry.Place{
		"":                                   registry.ByAPI,
		"charset":                            registry.ByAPI,
		"quay":                               registry.ByAPI,
		"artifactory":                        registry.ByAPI,
		"immutable":                          registry.ByAPI,
		"busy":                               registry.ByAPI,
		"nosub":                              registry.ByAPI, // it lists them all the same
		"pages":                              registry.ByAPI,
		"pages,charset":                      registry.ByAPI,
		"pages,quay":                         registry.ByAPI,
		"pages,artifactory,immutable":        registry.ByAPI,
		"pages,ref404,nosub":                 registry.ByTag,
		"pages,artifactory,ref404,nosub":     registry.ByTag,
		"uncancelled":                        registry.ByAPI,
		"ref303,nosub":                       registry.ByTag,
		"ref400,nosub":                       registry.ByTag,
		"ref401,nosub":                       registry.ByTag,
		"ref403,nosub":                       registry.ByTag,
		"ref404,nosub":                       registry.ByTag,
		"ref404":                             registry.ByTag, // though it says OCI-Subject
		"ref405,nosub":                       registry.ByTag,
		"ref406,nosub":                       registry.ByTag,
		"ref501,nosub":                       registry.ByTag,
		"false200,nosub":                     registry.ByTag,
		"false200":                           registry.ByTag,
		"quay,ref404,nosub":                  registry.ByTag,
		"artifactory,ref404,nosub":           registry.ByTag,
		"stale,ref404,nosub":                 registry.ByTag,
		"stale-later,ref404,nosub":           registry.ByTag,
		"immutable,ref404,nosub":             registry.ByTag,
		"immutable,stale,ref404,nosub":       registry.ByTag,
		"quay,artifactory,immutable,ref406":  registry.ByTag,
		"gitlab,ref404,nosub":                registry.Nowhere,
		"gitlab,artifactory,ref405":          registry.Nowhere,
		"empty200":                           registry.Nowhere,
		"nosubject":                          registry.Nowhere, // though it has the API
		"noartifact":                         registry.Nowhere,
		"nosubject,ref404,nosub":             registry.Nowhere,
		"noartifact,ref404,nosub":            registry.Nowhere,
		"quay,gitlab,immutable,ref406,nosub": registry.Nowhere,
	} {
		t.Run(cmp.Or(habits, "none"), func(t *testing.T) {
			t.Parallel()
			tag, writes := strange(t, habits)
			client := registry.Client{Keychain: robots{}}
			if want == registry.Nowhere {
				refuses(t, client, tag)
			} else {
				releases(t, client, tag, [2]*signing.Key{key, other}, want)
			}
			before := *writes
			if _, err := client.Place(t.Context(), tag.Repository); err != nil && !errors.As(err, new(*registry.UnkeptError)) {
				t.Errorf("afterwards: %v", err)
			}
			if *writes != before {
				t.Errorf("looking wrote %d times", *writes-before)
			}
		})
		t.Run(cmp.Or(habits, "none")+" with tags", func(t *testing.T) {
			t.Parallel()
			tag, _ := strange(t, habits)
			releases(t, registry.Client{Keychain: robots{}, Layout: registry.Tags}, tag, [2]*signing.Key{key, other}, registry.InOlderTag)
		})
	}
}

// refuses expects that nothing is pushed.
func refuses(t *testing.T, client registry.Client, tag name.Tag) {
	t.Helper()
	if place, err := client.Place(t.Context(), tag.Repository); place != registry.Unknown && place != registry.ByAPI || err != nil {
		t.Errorf("in an empty repository: %v, %v", place, err)
	}
	var unkept *registry.UnkeptError
	if _, err := client.Prove(t.Context(), tag.Repository); !errors.As(err, &unkept) {
		t.Errorf("got %v, want an *UnkeptError", err)
	}
}

// releases does what a release does, twice, with the first of two keys.
func releases(t *testing.T, client registry.Client, tag name.Tag, keys [2]*signing.Key, want registry.Place) {
	t.Helper()
	key := keys[0]
	ctx, inputs := t.Context(), v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("1", 64)}
	if found, err := client.Released(ctx, tag, inputs); found != nil || err != nil {
		t.Fatalf("looking for the release: %v, %v", found, err)
	}
	if place, err := client.Prove(ctx, tag.Repository); place != want || err != nil {
		t.Fatalf("the place is %d, %v; want %d", place, err, want)
	}
	digest, err := client.Push(ctx, tag, image(t, inputs.String()))
	if err != nil {
		t.Fatal(err)
	}
	all := []registry.Attestation{registry.Signature(), {Type: "https://example.com/says/v1", Predicate: map[string]string{"says": "hello"}}}
	for run, made := range []bool{true, false} {
		got, err := client.State(ctx, digest, key, all...)
		if err != nil || got[0] != made || got[1] != made {
			t.Fatalf("run %d: made %v, %v", run+1, got, err)
		}
		if err := client.Confirm(ctx, digest, key.PublicKey, all...); err != nil {
			t.Fatalf("run %d: %v", run+1, err)
		}
	}
	if found, err := client.Released(ctx, tag, inputs); found == nil || err != nil {
		t.Errorf("looking for the release afterwards: %v, %v", found, err)
	}
	if place, err := client.Place(ctx, tag.Repository); place != want || err != nil {
		t.Errorf("the place afterwards is %d, %v; want %d", place, err, want)
	}
	verifies(ctx, t, registry.Client{Keychain: robots{}}, digest, keys, all[1])
}

// verifies looks as one who knows no layout.
func verifies(ctx context.Context, t *testing.T, client registry.Client, digest name.Digest, keys [2]*signing.Key, said registry.Attestation) {
	t.Helper()
	if err := client.CheckSignature(ctx, digest, keys[0].PublicKey); err != nil {
		t.Errorf("the signature: %v", err)
	}
	if err := client.CheckAttestation(ctx, digest, keys[0].PublicKey, said); err != nil {
		t.Errorf("the attestation: %v", err)
	}
	var unsigned *registry.UnsignedError
	if err := client.CheckSignature(ctx, digest, keys[1].PublicKey); !errors.As(err, &unsigned) {
		t.Errorf("with another key: %v", err)
	}
}

// A repository that is in use says nothing of what its registry does not take.
func TestCaseHabitsInARepositoryInUse(t *testing.T) {
	t.Parallel()
	for _, habits := range []string{"nosubject,ref404,nosub", "noartifact,ref404,nosub", "noartifact", "empty200"} {
		tag, _ := strange(t, habits)
		if _, err := (registry.Client{}).Push(t.Context(), tag, image(t, "inputs")); err != nil {
			t.Fatal(err)
		}
		var unkept *registry.UnkeptError
		if place, err := (registry.Client{}).Prove(t.Context(), tag.Repository); !errors.As(err, &unkept) {
			t.Errorf("%s: %v, %v, want an *UnkeptError", habits, place, err)
		}
	}
}

// Lists come in pages: of what refers to an image, and of tags.
func TestCaseListsInPages(t *testing.T) {
	t.Parallel()
	const others = 7
	key, client := signingKey(t), registry.Client{Keychain: robots{}}
	tag, _ := strange(t, "pages,artifactory")
	digest, err := client.Push(t.Context(), tag, image(t, "inputs"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range others {
		picture(t, digest, fmt.Sprint(i))
		if _, err := client.Push(t.Context(), tag.Tag(fmt.Sprintf("1.1.%d", i)), image(t, "inputs")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Sign(t.Context(), digest, key); err != nil {
		t.Fatal(err)
	}
	said, err := client.Statements(t.Context(), digest, key.PublicKey)
	if err != nil || said.Foreign != others || said.Endless {
		t.Errorf("got %+v, %v, want %d that are no bundles", said, err, others)
	}
	if err := said.CheckSignature(); err != nil {
		t.Error(err)
	}
	if found, err := client.Released(t.Context(), tag.Tag("2.0.0"), v1.Hash{}); found != nil || err != nil {
		t.Errorf("a tag that is free: %v, %v", found, err)
	}
}

// picture adds a referrer that is no bundle.
func picture(t *testing.T, digest name.Digest, content string) {
	t.Helper()
	subject, err := remote.Head(digest)
	if err != nil {
		t.Fatal(err)
	}
	with, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte(content), "image/png"))
	if err != nil {
		t.Fatal(err)
	}
	with = mutate.Subject(with, *subject).(v1.Image)
	sum, err := with.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(digest.Context().Digest(sum.String()), with); err != nil {
		t.Fatal(err)
	}
}

// A registry that says that it lists what refers to an image, and lists nothing, or
// that fails when it is asked, cannot be seen through before; it is an error, not a
// release without a signature.
func TestCaseRegistriesThatLie(t *testing.T) {
	t.Parallel()
	tag, _ := strange(t, "empty200")
	digest, err := registry.Client{}.Push(t.Context(), tag, image(t, "inputs"))
	if err != nil {
		t.Fatal(err)
	}
	var unkept *registry.UnkeptError
	if _, err := (registry.Client{}).State(t.Context(), digest, signingKey(t), registry.Signature()); !errors.As(err, &unkept) {
		t.Errorf("empty200: got %v", err)
	}
	tag, _ = strange(t, "ref503")
	var failed *registry.Error
	if _, err := (registry.Client{}).Place(t.Context(), tag.Repository); !errors.As(err, &failed) {
		t.Errorf("ref503: got %v", err)
	}
}
