package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/sandbox/registry"
)

// habits starts a registry of the script's own, with the habits of real ones, and puts
// the script's repository there; Docker's configuration has the robot's login:
//
//	registry HABIT,HABIT...
//	registry unwritten        nothing was written to it since it was started, and each
//	                          upload that was begun was cancelled
//	registry untagged         no tag was written to the script's repository
func habits(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: registry HABIT,HABIT..., registry unwritten, or registry untagged")
	}
	switch args[0] {
	case "unwritten":
		if n := s.strange.Load(); n != 0 {
			ts.Fatalf("%d writes", n)
		}
		return
	case "untagged":
		repository, err := name.NewRepository(ts.Getenv("MRELEASE_IMAGE"))
		ts.Check(err)
		if tags, err := remote.List(repository); !isNotFound(err) && (err != nil || len(tags) > 0) {
			ts.Fatalf("there are tags: %q, %v", tags, err)
		}
		return
	}
	all, err := registry.Habits(args[0])
	ts.Check(err)
	h := registry.New(registry.Options{Habits: all})
	writes := &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&tally{ResponseWriter: w, request: r, writes: writes}, r)
	}))
	ts.Defer(server.Close)
	s.strange = writes
	host := strings.TrimPrefix(server.URL, "http://")
	ts.Setenv("MRELEASE_IMAGE", host+"/"+s.name)
	ts.Setenv("HOST", host)
	config, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"username": registry.Robot, "password": registry.RobotPassword}}})
	ts.Check(err)
	ts.Check(writeFile(ts.MkAbs("config.json"), string(config)))
}

// tally counts the writes that were made. One that begins an upload is undone by one
// that cancels it.
type tally struct {
	http.ResponseWriter
	request *http.Request
	writes  *atomic.Int64
}

// WriteHeader implements [http.ResponseWriter].
func (t *tally) WriteHeader(status int) {
	cancels := t.request.Method == http.MethodDelete && strings.Contains(t.request.URL.Path, "/blobs/uploads/")
	switch {
	case status/100 != 2 || !changes(t.request, ""):
	case cancels:
		t.writes.Add(-1)
	default:
		t.writes.Add(1)
	}
	t.ResponseWriter.WriteHeader(status)
}
