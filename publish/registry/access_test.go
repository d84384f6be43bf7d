package registry_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"

	"github.com/mrelease/mrelease/publish/registry"
)

// keychain has one login for every registry.
type keychain authn.AuthConfig

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig(k)), nil
}

// guarded is a registry that wants the password "right", by Basic
// authentication or for a token.
func guarded(t *testing.T, bearer bool) name.Repository {
	t.Helper()
	inner := testregistry.New()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		switch {
		case bearer && r.URL.Path == "/token" && password == "right":
			w.Write([]byte(`{"token":"granted"}`))
		case bearer && r.URL.Path != "/token" && r.Header.Get("Authorization") == "Bearer granted", !bearer && password == "right":
			inner.ServeHTTP(w, r)
		default:
			challenge := `Basic realm="r"`
			if bearer {
				challenge = `Bearer realm="` + s.URL + `/token",service="s"`
			}
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(s.Close)
	return repository(t, s)
}

func repository(t *testing.T, s *httptest.Server) name.Repository {
	t.Helper()
	repo, err := name.NewRepository(strings.TrimPrefix(s.URL, "http://") + "/acme/hello")
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func TestCheckAccess(t *testing.T) {
	basic, token, open := guarded(t, false), guarded(t, true), start(t).Repository
	right, wrong := keychain{Username: "acme", Password: "right"}, keychain{Username: "acme", Password: "wrong"}
	for _, tt := range []struct {
		name     string
		repo     name.Repository
		keychain authn.Keychain
		who      string // empty: refused
	}{
		{"no login", open, nil, "anybody"},
		{"password", basic, right, "acme"},
		{"wrong password", basic, wrong, ""},
		{"no password", basic, authn.NewMultiKeychain(), ""},
		{"no keychain", basic, nil, ""},
		{"password for a token", token, right, "acme"},
		{"wrong password for a token", token, wrong, ""},
		{"no password for a token", token, authn.NewMultiKeychain(), ""},
	} {
		access, err := registry.Client{Keychain: tt.keychain}.CheckAccess(t.Context(), tt.repo)
		who := access.User.String()
		var refused *registry.LoginError
		if tt.who == "" {
			if !errors.As(err, &refused) {
				t.Errorf("%s: %q, %v, want a LoginError", tt.name, who, err)
			} else if strings.Contains(err.Error(), "wrong") {
				t.Errorf("%s: the error shows the password: %v", tt.name, err)
			}
		} else if err != nil || who != tt.who {
			t.Errorf("%s: %q, %v, want %q", tt.name, who, err, tt.who)
		}
	}
}

func TestCheckAccessOfNoRegistry(t *testing.T) {
	site := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(site.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, s := range map[string]*httptest.Server{"a web site": site, "nothing": gone} {
		var silent *registry.SilentError
		if access, err := client.CheckAccess(t.Context(), repository(t, s)); !errors.As(err, &silent) {
			t.Errorf("%s: %v, %v, want a SilentError", name, access, err)
		}
	}
}

// Who may only read is told so, and nothing is left behind of finding that out.
func TestCheckAccessBeginsAnUpload(t *testing.T) {
	for name, c := range map[string]struct {
		begin, cancel int
		location      string
		says          string // or how it may not push
	}{
		"cancelled":       {202, 204, "/v2/acme/hello/blobs/uploads/1?state=x", "begun and cancelled"},
		"absolute":        {202, 204, "http://HOST/v2/acme/hello/blobs/uploads/1?state=x", "begun and cancelled"},
		"cannot be":       {202, 405, "/v2/acme/hello/blobs/uploads/1?state=x", "not cancelled"},
		"elsewhere":       {202, 204, "http://127.0.0.2:1/v2/acme/hello/blobs/uploads/1?state=x", "not cancelled"},
		"nowhere":         {202, 204, "", "not cancelled"},
		"may not push":    {403, 0, "", "does not let anybody push to acme/hello"},
		"must log in":     {401, 0, "", "does not let anybody push to acme/hello"},
		"no repository":   {404, 0, "", "has no repository acme/hello"},
		"another trouble": {405, 0, "", "beginning an upload"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				status := http.StatusOK
				if r.URL.Path != "/v2/" {
					asked = append(asked, r.Method+" "+r.URL.String())
				}
				switch r.Method {
				case http.MethodPost:
					w.Header().Set("Location", strings.Replace(c.location, "HOST", r.Host, 1))
					status = c.begin
				case http.MethodDelete:
					status = c.cancel
				}
				w.WriteHeader(status)
			}))
			t.Cleanup(s.Close)
			access, err := client.CheckAccess(t.Context(), repository(t, s))
			var may *registry.PushError
			if refused := c.begin == 403 || c.begin == 401 || c.begin == 404; errors.As(err, &may) != refused {
				t.Fatalf("got %v, %v", access, err)
			}
			if got := fmt.Sprint(access, err); !strings.Contains(got, c.says) {
				t.Errorf("got %q, want %q", got, c.says)
			}
			want := []string{"POST /v2/acme/hello/blobs/uploads/"}
			if c.cancel != 0 && strings.Contains(c.location, "/1") && !strings.Contains(c.location, "127.0.0.2") {
				want = append(want, "DELETE /v2/acme/hello/blobs/uploads/1?state=x")
			}
			if !slices.Equal(asked, want) {
				t.Errorf("asked %q, want %q", asked, want)
			}
		})
	}
}
