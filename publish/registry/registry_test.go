package registry_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

var client registry.Client // anonymous, as every registry here

// start brings up a registry and returns a tag in it.
func start(t *testing.T, opts ...testregistry.Option) name.Tag {
	t.Helper()
	opts = append(opts, testregistry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(testregistry.New(opts...))
	t.Cleanup(s.Close)
	tag, err := name.NewTag(strings.TrimPrefix(s.URL, "http://") + "/acme/hello:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// release returns an image that carries the inputs digest of a release.
func release(t *testing.T, inputs v1.Hash) v1.Image {
	t.Helper()
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	return mutate.Annotations(image, map[string]string{registry.InputsAnnotation: inputs.String()}).(v1.Image)
}

func hash(t *testing.T, text string) v1.Hash {
	t.Helper()
	h, _, err := v1.SHA256(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func key(t *testing.T) *signing.Key {
	t.Helper()
	password := []byte("password")
	keys, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return password, nil })
	if err != nil {
		t.Fatal(err)
	}
	k, err := signing.LoadKey(keys.PrivateBytes, password)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func push(t *testing.T, tag name.Tag) name.Digest {
	t.Helper()
	digest, err := client.Push(t.Context(), tag, release(t, hash(t, "inputs")))
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestReleasedFindsWhatWasPushed(t *testing.T) {
	tag, inputs := start(t), hash(t, "inputs")
	if image, err := client.Released(t.Context(), tag, inputs); image != nil || err != nil {
		t.Fatalf("before the push: %v, %v", image, err)
	}
	image := release(t, inputs)
	digest, err := client.Push(t.Context(), tag, image)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := image.Digest(); digest.DigestStr() != want.String() {
		t.Errorf("pushed %s, want %s", digest, want)
	}
	found, err := client.Released(t.Context(), tag, inputs)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := found.Digest(); got.String() != digest.DigestStr() {
		t.Errorf("found %s, want %s", got, digest)
	}
}

func TestAVersionIsWrittenOnce(t *testing.T) {
	tag := start(t)
	first := push(t, tag)
	var taken *registry.TakenError
	if _, err := client.Released(t.Context(), tag, hash(t, "other inputs")); !errors.As(err, &taken) || taken.Digest.String() != first.DigestStr() {
		t.Errorf("looking for other inputs: %v, want a TakenError with the image that is there", err)
	}
	if _, err := client.Push(t.Context(), tag, release(t, hash(t, "other inputs"))); !errors.As(err, &taken) {
		t.Errorf("pushing other inputs: %v, want a TakenError", err)
	}
	if now, err := client.Resolve(t.Context(), tag); err != nil || now != first {
		t.Errorf("the tag names %s, %v, want %s", now, err, first)
	}
}

// A registry that refuses, or that forgets what it took, is an error.
func TestPushReadsBack(t *testing.T) {
	forgetful := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") && r.Method != http.MethodPut {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Location", r.URL.Path)
		status := map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 202, http.MethodPatch: 202, http.MethodPut: 201}[r.Method]
		w.WriteHeader(status)
	}))
	t.Cleanup(forgetful.Close)
	tag, err := name.NewTag(strings.TrimPrefix(forgetful.URL, "http://") + "/acme/hello:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Push(t.Context(), tag, release(t, hash(t, "inputs"))); err == nil || !strings.Contains(err.Error(), "does not have it") {
		t.Errorf("err = %v, want that the registry does not have the image", err)
	}
}

func TestSign(t *testing.T) {
	for name, opts := range map[string][]testregistry.Option{
		"referrers API": {testregistry.WithReferrersSupport(true)},
		"referrers tag": nil, // as GitHub's registry
	} {
		t.Run(name, func(t *testing.T) {
			digest, k := push(t, start(t, opts...)), key(t)
			var unsigned *registry.UnsignedError
			if err := client.CheckSignature(t.Context(), digest, k.PublicKey); !errors.As(err, &unsigned) {
				t.Fatalf("before: %v, want an UnsignedError", err)
			}
			for i, want := range []bool{true, false} {
				if made, err := client.Sign(t.Context(), digest, k); made != want || err != nil {
					t.Fatalf("run %d: made = %t, %v, want %t", i+1, made, err, want)
				}
			}
			if n := referrers(t, digest); n != 1 {
				t.Errorf("%d referrers after two runs, want 1", n)
			}
			pem, err := k.GetPublicKeyPem()
			if err != nil {
				t.Fatal(err)
			}
			public, err := signing.ParsePublicKey(pem)
			if err != nil {
				t.Fatal(err)
			}
			if err := client.CheckSignature(t.Context(), digest, public); err != nil {
				t.Errorf("with the public key from PEM: %v", err)
			}
			if err := client.CheckSignature(t.Context(), digest, key(t).PublicKey); !errors.As(err, &unsigned) || unsigned.Others != 1 {
				t.Errorf("with another key: %v, want an UnsignedError", err)
			}
		})
	}
}

// The private half of a pair is opened by the first signature only.
func TestPair(t *testing.T) {
	digest, whole, opened := push(t, start(t)), key(t), 0
	pair := whole.Pair(func() (*signing.Key, error) { opened++; return whole, nil })
	for i, want := range []bool{true, false} {
		if made, err := client.Sign(t.Context(), digest, pair); made != want || err != nil {
			t.Fatalf("run %d: made = %t, %v, want %t", i+1, made, err, want)
		}
	}
	if opened != 1 {
		t.Errorf("opened %d times, want once", opened)
	}
	locked := errors.New("wrong password")
	pair = whole.Pair(func() (*signing.Key, error) { return nil, locked })
	if made, err := client.Sign(t.Context(), digest, pair); made || err != nil {
		t.Errorf("with nothing to sign: made = %t, %v", made, err)
	}
	if _, err := client.Sign(t.Context(), push(t, start(t)), pair); !errors.Is(err, locked) {
		t.Errorf("err = %v, want that of opening", err)
	}
	if other := key(t); !pair.Equal(whole.PublicKey) || pair.Equal(other.PublicKey) {
		t.Error("Equal does not tell keys apart")
	}
}

func referrers(t *testing.T, digest name.Digest) int {
	t.Helper()
	index, err := remote.Referrers(digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	return len(manifest.Manifests)
}

// cosign's own verification takes any attestation of the key for a signature.
func TestAnAttestationIsNoSignature(t *testing.T) {
	digest, k := push(t, start(t)), key(t)
	statement := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"` +
		strings.TrimPrefix(digest.DigestStr(), "sha256:") + `"}}],"predicateType":"https://example.com/other/v1","predicate":{}}`
	attach(t, digest, k, statement)
	var unsigned *registry.UnsignedError
	if err := client.CheckSignature(t.Context(), digest, k.PublicKey); !errors.As(err, &unsigned) || unsigned.Others != 1 {
		t.Errorf("err = %v, want an UnsignedError that counts the attestation", err)
	}
}

// A signature of another image, copied to this one, does not count.
func TestASignatureOfAnotherImage(t *testing.T) {
	digest, k := push(t, start(t)), key(t)
	statement := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"` +
		strings.Repeat("ab", 32) + `"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`
	attach(t, digest, k, statement)
	var unsigned *registry.UnsignedError
	if err := client.CheckSignature(t.Context(), digest, k.PublicKey); !errors.As(err, &unsigned) {
		t.Errorf("err = %v, want an UnsignedError", err)
	}
}

// Whoever may push can add a bundle that is none; it hides no signature.
func TestMalformedBundlesAreCounted(t *testing.T) {
	digest, k := push(t, start(t)), key(t)
	if err := ociremote.WriteAttestationNewBundleFormat(digest, []byte(`{"mediaType":"?"}`), "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Sign(t.Context(), digest, k); err != nil {
		t.Fatal(err)
	}
	if err := client.CheckSignature(t.Context(), digest, k.PublicKey); err != nil {
		t.Error(err)
	}
}

func attach(t *testing.T, digest name.Digest, k *signing.Key, statement string) {
	t.Helper()
	data := &sign.DSSEData{Data: []byte(statement), PayloadType: "application/vnd.in-toto+json"}
	bundle, err := sign.Bundle(data, k, sign.BundleOptions{Context: context.Background()})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := protojson.Marshal(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if err := ociremote.WriteAttestationNewBundleFormat(digest, raw, "x"); err != nil {
		t.Fatal(err)
	}
}

// What opening a key takes is seen without its password.
func TestKeyMemory(t *testing.T) {
	keys, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return []byte("password"), nil })
	if err != nil {
		t.Fatal(err)
	}
	if got := signing.KeyMemory(keys.PrivateBytes); got != 64<<20 {
		t.Errorf("a key of cosign's takes %d bytes, want 64 MiB", got)
	}
	if got := signing.KeyMemory([]byte("no key")); got != 0 {
		t.Errorf("no key takes %d bytes", got)
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	keys, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return []byte("right"), nil })
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		pem      []byte
		password string
	}{
		"wrong password": {keys.PrivateBytes, "wrong"},
		"public key":     {keys.PublicBytes, "right"},
		"no PEM":         {[]byte("hello"), ""},
	} {
		if k, err := signing.LoadKey(tt.pem, []byte(tt.password)); err == nil || k != nil {
			t.Errorf("%s was accepted", name)
		} else if tt.password != "" && strings.Contains(err.Error(), tt.password) && name != "wrong password" {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}
