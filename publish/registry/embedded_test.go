package registry_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/publish/registry"
)

// rewritten is a manifest of somebody else's making, as stored.
type rewritten struct {
	raw []byte
}

func (r rewritten) RawManifest() ([]byte, error)        { return r.raw, nil }
func (r rewritten) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// rewrite pushes each referrer of an image again, with its layer changed, into the list of
// another.
func rewrite(t *testing.T, from, to name.Digest, change func(*v1.Descriptor)) {
	t.Helper()
	index, err := remote.Referrers(from)
	if err != nil {
		t.Fatal(err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	subject, err := remote.Head(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list.Manifests {
		there, err := remote.Get(from.Context().Digest(d.Digest.String()))
		if err != nil {
			t.Fatal(err)
		}
		var m v1.Manifest
		if err := json.Unmarshal(there.Manifest, &m); err != nil {
			t.Fatal(err)
		}
		change(&m.Layers[0])
		m.Subject = subject
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		digest, _, err := v1.SHA256(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Put(to.Context().Digest(digest.String()), rewritten{raw}); err != nil {
			t.Fatal(err)
		}
	}
}

func sum(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

// What is small is read with its manifest: no blob is asked for.
func TestSmallStatementsTakeOneRequest(t *testing.T) {
	digest, k := push(t, start(t, testregistry.WithReferrersSupport(true))), key(t)
	if _, err := client.Sign(t.Context(), digest, k); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Attach(t.Context(), digest, note(), []byte("note 1")); err != nil {
		t.Fatal(err)
	}
	counting := &counter{asked: map[string]int{}}
	reader := registry.Client{Transport: counting}
	if err := reader.CheckSignature(t.Context(), digest, k.PublicKey); err != nil {
		t.Error(err)
	}
	found, err := reader.Attached(t.Context(), digest, note(), begins)
	if err != nil || len(found.Documents) != 1 {
		t.Errorf("got %q, %v", found.Documents, err)
	}
	for what := range counting.asked {
		if strings.Contains(what, "/blobs/") {
			t.Errorf("asked: %s", what)
		}
	}
}

// A document that was attached before manifests held documents is not attached again.
func TestAttachFindsFormerManifests(t *testing.T) {
	host := start(t, testregistry.WithReferrersSupport(true))
	digest := push(t, host)
	elsewhere, err := name.NewDigest(strings.Replace(digest.Name(), "acme/hello", "acme/former", 1))
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(elsewhere, image); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Attach(t.Context(), digest, note(), []byte("note 1")); err != nil {
		t.Fatal(err)
	}
	rewrite(t, digest, elsewhere, func(layer *v1.Descriptor) { layer.Data = nil })
	blob, err := remote.Layer(digest.Context().Digest("sha256:" + sum("note 1")))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteLayer(elsewhere.Context(), blob); err != nil {
		t.Fatal(err)
	}
	made, err := client.Attach(t.Context(), elsewhere, note(), []byte("note 1"))
	if err != nil || made {
		t.Errorf("made %t, %v", made, err)
	}
	found, err := client.Attached(t.Context(), elsewhere, note(), begins)
	if err != nil || len(found.Documents) != 1 {
		t.Errorf("got %q, %v", found.Documents, err)
	}
}

// What a manifest holds counts only if it is what the manifest names.
func TestAttackEmbeddedContent(t *testing.T) {
	for name, change := range map[string]func(*v1.Descriptor){
		"another content":    func(layer *v1.Descriptor) { layer.Data = []byte("note 2") },
		"of another length":  func(layer *v1.Descriptor) { layer.Data = append(layer.Data, '\n') },
		"beyond its kind":    func(layer *v1.Descriptor) { layer.Data = bytes.Repeat([]byte("x"), 101) },
		"of another size":    func(layer *v1.Descriptor) { layer.Size++ },
		"named as something": func(layer *v1.Descriptor) { layer.Digest.Hex = sum("note 2") },
	} {
		t.Run(name, func(t *testing.T) {
			digest := push(t, start(t, testregistry.WithReferrersSupport(true)))
			if _, err := client.Attach(t.Context(), digest, note(), []byte("note 1")); err != nil {
				t.Fatal(err)
			}
			rewrite(t, digest, digest, change)
			found, err := client.Attached(t.Context(), digest, note(), begins)
			if err != nil || len(found.Documents) != 1 || string(found.Documents[0]) != "note 1" || found.Unreadable != 1 {
				t.Errorf("got %q, %d unreadable, %v", found.Documents, found.Unreadable, err)
			}
		})
	}
}

// A statement whose layer the registry took and lost is not there for cosign: its manifest,
// which holds it too, is not enough for who has written it.
func TestAttackStatementWithoutItsLayer(t *testing.T) {
	digest, k := push(t, start(t, testregistry.WithReferrersSupport(true))), key(t)
	if _, err := client.Attest(t.Context(), digest, k, claim(`{}`)); err != nil {
		t.Fatal(err)
	}
	losing := registry.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}
		return http.DefaultTransport.RoundTrip(r)
	})}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := losing.Confirm(ctx, digest, k, claim(`{}`)); err == nil {
		t.Error("a statement of which the layer is gone is taken for one that all can read")
	}
	if said, err := losing.Statements(t.Context(), digest, k.PublicKey); err != nil || len(said.Predicates(claim("").Type)) != 1 {
		t.Errorf("who verifies reads it from its manifest: %v", err)
	}
}
