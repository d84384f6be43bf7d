package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	testregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry"
)

func note() registry.Kind {
	return registry.Kind{Type: registry.DocumentType + "note.v1+json", Suffix: ".note", Most: 100}
}

// any wants each document that begins like one.
func begins(document []byte) bool { return bytes.HasPrefix(document, []byte("note")) }

// A document is written once, found again, and read whole, wherever it is kept.
func TestAttach(t *testing.T) {
	for name, c := range map[string]struct {
		api    bool
		layout registry.Layout
	}{"as a referrer": {true, ""}, "under a tag": {false, ""}, "in the older layout": {true, registry.Tags}} {
		t.Run(name, func(t *testing.T) {
			digest, k := push(t, start(t, testregistry.WithReferrersSupport(c.api))), key(t)
			writer := registry.Client{Layout: c.layout}
			if _, err := writer.Sign(t.Context(), digest, k); err != nil {
				t.Fatal(err)
			}
			for i, text := range []string{"note 1", "note 1", "note 2", "note 1"} {
				made, err := writer.Attach(t.Context(), digest, note(), []byte(text))
				if want := i == 0 || i == 2; err != nil || made != want {
					t.Errorf("%d: made %t, %v; want %t", i, made, err, want)
				}
			}
			found, err := client.Attached(t.Context(), digest, note(), begins)
			if err != nil || found.Complete() != nil || len(found.Documents) != 2 || !bytes.Contains(bytes.Join(found.Documents, nil), []byte("note 1")) {
				t.Errorf("got %q, %v, %v", found.Documents, err, found.Complete())
			}
			said, err := client.Statements(t.Context(), digest, k.PublicKey)
			if err != nil || said.Aside() != "" || said.CheckSignature() != nil {
				t.Errorf("among the statements: %q, %v", said.Aside(), err)
			}
			// What is signed later is there too.
			if _, err := writer.Attest(t.Context(), digest, k, registry.Attestation{Type: "https://example.com/a", Predicate: struct{}{}}); err != nil {
				t.Fatal(err)
			}
			if found, err := client.Attached(t.Context(), digest, note(), begins); err != nil || len(found.Documents) != 2 {
				t.Errorf("later: %q, %v", found.Documents, err)
			}
		})
	}
}

// What strangers attach is counted, is not read beyond the bounds, and hides nothing.
func TestAttackAttached(t *testing.T) {
	digest := push(t, start(t, testregistry.WithReferrersSupport(true)))
	large := refer(t, digest, "note "+strings.Repeat("x", 100), types.MediaType(note().Type))
	stranger := refer(t, digest, "a stranger's", types.MediaType(note().Type))
	for _, text := range []string{"note " + strings.Repeat("x", 100), "a stranger's"} { // as a stranger's own mrelease does it
		if _, err := client.Attach(t.Context(), digest, note(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Attach(t.Context(), digest, note(), []byte("note 1")); err != nil {
		t.Fatal(err)
	}
	found, err := client.Attached(t.Context(), digest, note(), begins)
	if err != nil || len(found.Documents) != 1 || found.Unwanted != 1 || found.Unreadable != 1 {
		t.Errorf("got %+v, %v", found, err)
	}
	// Ten thousand that are listed as documents, before the one that is wanted.
	counting := &counter{asked: map[string]int{}}
	index := listed{referrer: stranger, times: 10_000, artifactType: note().Type}
	found, err = registry.Client{Transport: index.before(counting)}.Attached(t.Context(), digest, note(), begins)
	if err != nil || len(found.Documents) != 1 || found.Beyond != 10_000-bounds.Documents {
		t.Errorf("got %d documents, %d beyond, %v", len(found.Documents), found.Beyond, err)
	}
	if n := counting.asked["GET /v2/acme/hello/manifests/"+stranger.DigestStr()]; n > bounds.Documents+1 {
		t.Errorf("a manifest was asked for %d times", n)
	}
	// Ten thousand of which the list does not say what they are.
	counting = &counter{asked: map[string]int{}}
	index = listed{referrer: large, times: 10_000}
	found, err = registry.Client{Transport: index.before(counting)}.Attached(t.Context(), digest, note(), begins)
	if n := counting.asked["GET /v2/acme/hello/manifests/"+large.DigestStr()]; err != nil || n > bounds.Referrers {
		t.Errorf("a manifest was asked for %d times, %v", n, err)
	}
	if found.Unreadable == 0 {
		t.Errorf("got %+v", found)
	}
}

// Whoever attaches a document finds it again among as many of its kind as anybody may have
// pushed, and does not push it twice.
func TestAttackAttachInACrowd(t *testing.T) {
	digest := push(t, start(t, testregistry.WithReferrersSupport(true)))
	stranger := refer(t, digest, "a stranger's", types.MediaType(note().Type))
	pages := 0
	endless := func(filters bool) http.RoundTripper {
		return transportFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil || !strings.Contains(r.URL.Path, "/referrers/") || filters && r.URL.Query().Has("artifactType") {
				return resp, err
			}
			page := answer(resp, fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"size":1,"digest":%q,"artifactType":%q}]}`, types.OCIManifestSchema1, stranger.DigestStr(), note().Type))
			pages++
			page.Header.Set("Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, pages))
			return page, resp.Body.Close()
		})
	}
	// One that lists artifacts by their own type; the one at hand lists that of the configuration.
	exact := transportFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil || !strings.Contains(r.URL.Path, "/referrers/") {
			return resp, err
		}
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		return answer(resp, strings.ReplaceAll(string(raw), "application/vnd.oci.empty.v1+json", note().Type)), resp.Body.Close()
	})
	for name, c := range map[string]http.RoundTripper{
		"as many as are read":             listed{referrer: stranger, times: bounds.Documents, artifactType: note().Type}.before(exact),
		"a thousand, of unknown kind":     listed{referrer: stranger, times: bounds.Referrers}.before(http.DefaultTransport),
		"a list without end":              endless(false),
		"without end, but for one's kind": endless(true),
	} {
		t.Run(name, func(t *testing.T) {
			for _, want := range []bool{true, false} {
				made, err := registry.Client{Transport: c}.Attach(t.Context(), digest, note(), []byte("note of "+name))
				if err != nil || made != want {
					t.Errorf("made %t, %v; want %t", made, err, want)
				}
			}
		})
	}
	found, err := client.Attached(t.Context(), digest, note(), begins)
	if err != nil || len(found.Documents) != 4 {
		t.Errorf("got %d documents, %v", len(found.Documents), err)
	}
}

// A registry that cannot be asked for what is listed is no registry without documents.
func TestAttackAttachedOutage(t *testing.T) {
	digest := push(t, start(t, testregistry.WithReferrersSupport(true)))
	failing := func(paths ...string) registry.Client {
		return registry.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			for _, path := range paths {
				if strings.Contains(r.URL.Path, path) {
					return nil, fmt.Errorf("no answer to %s", r.URL.Path)
				}
			}
			return http.DefaultTransport.RoundTrip(r)
		})}
	}
	if found, err := failing("/referrers/").Attached(t.Context(), digest, note(), begins); err != nil || found.Complete() == nil {
		t.Errorf("one place fails: %v, complete %v", err, found.Complete())
	}
	if _, err := failing("/referrers/", "/manifests/").Attached(t.Context(), digest, note(), begins); err == nil {
		t.Error("both places fail: no error")
	}
}
