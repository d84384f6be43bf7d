package registry_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/evidence"
	"github.com/mrelease/mrelease/publish/registry"
)

// inPages answers the first request for a list of referrers with one entry and a link,
// and what the link leads to with the whole list.
func inPages(first name.Digest, link string) http.RoundTripper {
	return transportFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil || !strings.Contains(r.URL.Path, "/referrers/") || r.URL.RawQuery != "" {
			return resp, err
		}
		page := answer(resp, fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"size":1,"digest":%q}]}`, types.OCIManifestSchema1, first.DigestStr()))
		page.Header.Set("Link", strings.NewReplacer("HOST", r.URL.Host, "PATH", r.URL.Path).Replace(link))
		return page, resp.Body.Close()
	})
}

// The next page of a list is one of the same list, at the same registry.
func TestAttackLinksOfLists(t *testing.T) {
	digest, k := push(t, start(t, testregistry.WithReferrersSupport(true))), key(t)
	if _, err := client.Sign(t.Context(), digest, k); err != nil {
		t.Fatal(err)
	}
	other := refer(t, digest, "a picture", "image/png")
	const followed, ends, refused = "followed", "ends", "refused"
	for link, want := range map[string]string{
		`<PATH?last=x>; rel="next"`:                            followed,
		`<http://HOST/PATH?last=x>; rel=next`:                  refused, // //v2
		`<http://HOSTPATH?last=x>; rel=next`:                   followed,
		`<//HOSTPATH?last=x>; title="a;b"; REL="up next"`:      followed,
		`<?last=x>; rel="next"`:                                followed,
		`</a>; rel="prev", <PATH?last=x>; rel="next"`:          followed,
		`</a>; rel="prev"`:                                     ends,
		`no link at all`:                                       ends,
		``:                                                     ends,
		`<http://169.254.169.254PATH?last=x>; rel="next"`:      refused,
		`</v2/acme/other/referrers/x?last=x>; rel="next"`:      refused,
		`<../../../../../latest/meta-data?x>; rel="next"`:      refused,
		`<PATH>; rel="next"`:                                   refused, // which is this page again
		`<http://[::1>; rel="next"`:                            refused,
		"<PATH?last=x\x00>; rel=\"next\"":                      refused,
		`<PATH?last=x` + strings.Repeat("x", 8) + `>;rel=next`: followed,
	} {
		err := registry.Client{Transport: inPages(other, link)}.CheckSignature(t.Context(), digest, k.PublicKey)
		var unsigned *registry.UnsignedError
		var failed *registry.Error
		got := followed
		switch {
		case errors.As(err, &unsigned):
			got = ends
		case errors.As(err, &failed) && strings.Contains(err.Error(), "goes on at"):
			got = refused
		case err != nil:
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", link, got, want)
		}
	}
}

// A list without end, of what is no bundle, hides no signature where the registry can
// list bundles alone; and where it cannot, it is told.
func TestAttackListsWithoutEnd(t *testing.T) {
	digest, k := push(t, start(t, testregistry.WithReferrersSupport(true))), key(t)
	if _, err := client.Sign(t.Context(), digest, k); err != nil {
		t.Fatal(err)
	}
	other := refer(t, digest, "a picture", "image/png")
	for name, c := range map[string]struct {
		filters, says    bool   // whether the registry lists what is asked for alone, and says so
		listed           string // the artifact type of the others
		finds, completes bool
	}{
		"it filters and says so":                {true, true, "image/png", true, true},
		"it filters what it does not know":      {true, true, "", true, false},
		"it filters and does not say so":        {true, false, "image/png", true, false},
		"it does not filter":                    {false, false, "image/png", false, false},
		"it says that it filters, and lists on": {false, true, "image/png", false, false},
	} {
		pages := 0
		endless := transportFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil || !strings.Contains(r.URL.Path, "/referrers/") {
				return resp, err
			}
			if c.says && r.URL.Query().Has("artifactType") {
				resp.Header.Set("OCI-Filters-Applied", "artifactType")
			}
			if c.filters && r.URL.Query().Has("artifactType") {
				return resp, err
			}
			pages++
			page := answer(resp, fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"size":1,"digest":%q,"artifactType":%q}]}`, types.OCIManifestSchema1, other.DigestStr(), c.listed))
			if filtered := resp.Header.Get("OCI-Filters-Applied"); filtered != "" {
				page.Header.Set("OCI-Filters-Applied", filtered)
			}
			page.Header.Set("Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, pages))
			return page, resp.Body.Close()
		})
		var kept evidence.Recorder
		said, err := registry.Client{Transport: endless, Around: kept.Around(evidence.Registry)}.Statements(t.Context(), digest, k.PublicKey)
		if err != nil || said.Endless == c.completes || strings.Contains(said.Aside(), "beyond the 100 pages") == c.completes {
			t.Errorf("%s: got %+v, %v", name, said, err)
		}
		var larger *bounds.Error
		if err := said.Complete(); errors.As(err, &larger) == c.completes {
			t.Errorf("%s: complete: %v, want it to be: %t", name, err, c.completes)
		}
		if err := said.CheckSignature(); (err == nil) != c.finds {
			t.Errorf("%s: %v", name, err)
		}
		if most := 2 * bounds.Pages; pages > most {
			t.Errorf("%s: %d pages were asked for, want %d at most", name, pages, most)
		}
		// A file of it has no fewer pages: what may be hidden is not taken for absent there.
		again, err := registry.Client{Around: evidence.File{Answers: kept.Answers()}.Around(evidence.Registry)}.Statements(t.Context(), digest, k.PublicKey)
		if err != nil || again.Aside() != said.Aside() || again.Endless != said.Endless || (again.CheckSignature() == nil) != c.finds {
			t.Errorf("%s, from a file: got %+v, %v", name, again, err)
		}
	}
}
