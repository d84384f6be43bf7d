package registry_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"

	"github.com/mrelease/mrelease/publish/registry"
)

// A registry that lets nobody read the other repository is sent all, and the push does not fail.
func TestMountIsRefused(t *testing.T) {
	there := testregistry.New(testregistry.Logger(log.New(io.Discard, "", 0)))
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && len(r.URL.Query()["scope"]) > 1:
			asked++
			http.Error(w, `{"errors":[{"code":"DENIED"}]}`, http.StatusForbidden)
		case r.URL.Path == "/token":
			fmt.Fprint(w, `{"token":"a token"}`)
		case r.Header.Get("Authorization") != "Bearer a token":
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test"`, r.Host))
			w.WriteHeader(http.StatusUnauthorized)
		default:
			there.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	at, err := name.NewRegistry(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	image := release(t, hash(t, "inputs"))
	digest, err := client.Push(t.Context(), at.Repo("acme", "app").Tag("1.0.0"), registry.Mountable(image, at.Repo("base", "image")))
	if err != nil {
		t.Fatal(err)
	}
	if asked == 0 {
		t.Error("nobody asked for the other repository")
	}
	pulled, err := client.Pull(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := pulled.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		compareLayer(t, l)
	}
}
