package buildkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/moby/buildkit/session/auth"

	"github.com/mrelease/mrelease/bounds"
)

// login is a keychain with one login for all registries.
type login authn.AuthConfig

func (l login) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig(l)), nil
}

// tokenServer serves tokens, and keeps what it was asked.
func tokenServer(t *testing.T, answer http.HandlerFunc) (url string, asked *[]string) {
	t.Helper()
	asked = new([]string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		*asked = append(*asked, fmt.Sprintf("%s %s %s:%s", r.Method, r.FormValue("grant_type"), user+r.FormValue("username"), password+r.FormValue("password")+r.FormValue("refresh_token")))
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func fetch(t *testing.T, l login, realm string) (*auth.FetchTokenResponse, error) {
	t.Helper()
	host := strings.TrimPrefix(realm, "http://")
	host, _, _ = strings.Cut(host, "/")
	return newTokens(l).(registryLogins).FetchToken(t.Context(), &auth.FetchTokenRequest{Host: host, Realm: realm, Service: "s", Scopes: []string{"repository:a:pull"}})
}

func write(t *testing.T, w http.ResponseWriter, document map[string]any) {
	t.Helper()
	if err := json.NewEncoder(w).Encode(document); err != nil {
		t.Error(err)
	}
}

// Tokens are asked for in the ways that registries serve them.
func TestTokens(t *testing.T) {
	for name, tt := range map[string]struct {
		login login
		oauth int // status of the answer to a POST
		want  string
	}{
		"nobody":                   {login{}, 0, "[GET  :]"},
		"a password":               {login{Username: "alice", Password: "secret"}, http.StatusOK, "[POST password alice:secret]"},
		"without OAuth":            {login{Username: "alice", Password: "secret"}, http.StatusNotFound, "[POST password alice:secret GET  alice:secret]"},
		"an identity token":        {login{IdentityToken: "identity"}, http.StatusOK, "[POST refresh_token :identity]"},
		"a token for the registry": {login{RegistryToken: "token"}, 0, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			url, asked := tokenServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && tt.oauth != http.StatusOK {
					w.WriteHeader(tt.oauth)
					return
				}
				write(t, w, map[string]any{"token": "token", "access_token": "token", "expires_in": 300})
			})
			got, err := fetch(t, tt.login, url+"/token")
			if err != nil || got.Token != "token" || fmt.Sprint(*asked) != tt.want {
				t.Errorf("got %v, %v; asked %s, want %s", got, err, *asked, tt.want)
			}
		})
	}
}

// A login goes where the registry may send it, and no further; an answer has an end.
func TestAttackTokens(t *testing.T) {
	user := login{Username: "alice", Password: "secret"}
	elsewhere, stolen := tokenServer(t, func(w http.ResponseWriter, _ *http.Request) { write(t, w, map[string]any{"token": "token"}) })
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		url, _ := tokenServer(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, status) })
		var refused *bounds.AddressError
		if _, err := fetch(t, user, url+"/token"); !errors.As(err, &refused) || len(*stolen) > 0 {
			t.Errorf("status %d: %v, the other server was asked %s", status, err, *stolen)
		}
	}
	url, _ := tokenServer(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"token": "` + strings.Repeat("x", 2*bounds.Manifest) + `"}`)) // who asked goes away
	})
	for _, l := range []login{user, {}} {
		var larger *bounds.Error
		if _, err := fetch(t, l, url+"/token"); !errors.As(err, &larger) {
			t.Errorf("a token of 8 MB: %v", err)
		}
	}
	tokens := newTokens(user).(registryLogins)
	for _, realm := range []string{"http://192.0.2.1/token", "https://127.0.0.1/token", "token"} {
		if _, err := tokens.FetchToken(t.Context(), &auth.FetchTokenRequest{Host: "198.51.100.1", Realm: realm}); err == nil {
			t.Errorf("realm %s is asked", realm)
		}
	}
}
