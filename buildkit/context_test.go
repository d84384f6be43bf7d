package buildkit_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mrelease/mrelease/buildkit"
)

// registry is a registry on a loopback address that remembers its requests.
type registry struct {
	host     string
	password string // demanded of the user "robot", when set
	before   func(*http.Request)
	mu       sync.Mutex
	requests []string
}

// serve brings the registry up.
func (r *registry) serve(t *testing.T) *registry {
	t.Helper()
	inner := testregistry.New(testregistry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.note(request)
		if _, password, _ := request.BasicAuth(); password != r.password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

func (r *registry) note(request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, request.Method+" "+request.URL.Path)
	if r.before != nil {
		r.before(request)
	}
}

// count returns how many requests had a method and a part in their path.
func (r *registry) count(method, part string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, request := range r.requests {
		if strings.HasPrefix(request, method) && strings.Contains(request, part) {
			n++
		}
	}
	return n
}

// push pushes an image to base:1 and returns its digest.
func (r *registry) push(t *testing.T, image v1.Image) v1.Hash {
	t.Helper()
	tag := must(name.NewTag(r.host + "/base:1"))
	check(t, remote.Write(tag, image, remote.WithContext(t.Context()), remote.WithAuth(r.auth())))
	return must(image.Digest())
}

func (r *registry) write(t *testing.T, index v1.ImageIndex) {
	t.Helper()
	tag := must(name.NewTag(r.host + "/base:index"))
	check(t, remote.WriteIndex(tag, index, remote.WithContext(t.Context()), remote.WithAuth(r.auth())))
}

func (r *registry) auth() authn.Authenticator {
	if r.password == "" {
		return authn.Anonymous
	}
	return &authn.Basic{Username: "robot", Password: r.password}
}

// Resolve implements authn.Keychain: it has the password of this registry.
func (r *registry) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if target.RegistryStr() == r.host {
		return r.auth(), nil
	}
	return authn.Anonymous, nil
}

func TestNamedContexts(t *testing.T) {
	t.Parallel()
	b := shared(t)
	src := source(t, "FROM debian:12\nCOPY --from=docs page /\nCOPY --from=tools tool /\n", nil)
	docs, hub := t.TempDir(), (&registry{}).serve(t)
	write(t, docs, files{"page": "of a folder"})
	tools := hub.push(t, image(t, v1.Config{}, files{"tool": "of a registry"}))
	src.Contexts = map[string]string{
		"docs":                        docs,
		"docker.io/library/debian:12": reference(t, image(t, v1.Config{}, files{"release": "of a layout"})),
		"tools":                       "docker-image://" + hub.host + "/base@" + tools.String(),
	}
	found := contents(t, build(t, b, src).Image)
	equal(t, "base", found["release"], "of a layout")
	equal(t, "folder", found["page"], "of a folder")
	equal(t, "image", found["tool"], "of a registry")
}

// Docker takes many spellings for one reference, and so does a context's name.
func TestNamedContextsAreFoundUnderEverySpelling(t *testing.T) {
	t.Parallel()
	b := shared(t)
	base := reference(t, image(t, v1.Config{}, files{"release": "1"}))
	for from, named := range map[string]string{
		"debian":                           "docker.io/library/debian:latest",
		"debian:latest":                    "debian",
		"docker.io/library/debian":         "debian",
		"index.docker.io/library/debian":   "debian:latest",
		"example.org:5000/debian":          "example.org:5000/debian:latest",
		"debian@sha256:" + sum("no image"): "docker.io/library/debian@sha256:" + sum("no image"),
	} {
		src := source(t, "FROM "+from+"\n", nil)
		src.Contexts = map[string]string{named: base}
		if found := contents(t, build(t, b, src).Image); found["release"] != "1" {
			t.Errorf("FROM %s does not take the context %s", from, named)
		}
	}
}

func TestAPinHoldsWhenTheTagMoves(t *testing.T) {
	b, hub := shared(t), (&registry{}).serve(t)
	old := hub.push(t, image(t, v1.Config{}, files{"version": "old"}))
	hub.push(t, image(t, v1.Config{}, files{"version": "new"}))
	src := source(t, "FROM "+hub.host+"/base:1\n", nil)

	moved := build(t, b, src)
	equal(t, "base without a pin", contents(t, moved.Image)["version"], "new")
	src.Bases = map[string]string{hub.host + "/base:1": old.String()}
	pinned := build(t, b, src)
	equal(t, "base with a pin", contents(t, pinned.Image)["version"], "old")
	if len(pinned.Materials) != 1 {
		t.Fatalf("materials: %v, want the base alone", pinned.Materials)
	}
	equal(t, "material", pinned.Materials[0].Digest.String(), old.String())
	contains(t, "material", pinned.Materials[0].URI, "pkg:docker/", "/base")
}

func TestRegistryCredentials(t *testing.T) {
	b := shared(t)
	hub := (&registry{password: "open sesame"}).serve(t)
	hub.push(t, image(t, v1.Config{}, files{"version": "1"}))
	src := source(t, "FROM "+hub.host+"/base:1\n", nil)
	_, err := fail(t, b, src)
	contains(t, "error without credentials", err.Error(), "401")
	src.Keychain = hub
	equal(t, "base", contents(t, build(t, b, src).Image)["version"], "1")
}

// What a base image costs is paid once.
func TestBaseLayersArePulledOnce(t *testing.T) {
	t.Parallel()
	b, hub := open(t, buildkit.Options{}), (&registry{}).serve(t)
	hub.push(t, programImage(t, v1.Config{}))
	src := source(t, "FROM "+hub.host+"/base:1\nRUN [\"/program\", \"print\", \"ran\"]\n", nil)
	build(t, b, src)
	pulled := hub.count("GET", "/blobs/")
	src.NoCache = true
	build(t, b, src)
	equal(t, "blobs pulled", hub.count("GET", "/blobs/"), pulled)
}

// A Dockerfile does not choose the program that builds it.
func TestTheSyntaxLineFetchesNothing(t *testing.T) {
	b, hub := shared(t), (&registry{}).serve(t)
	src := source(t, "# syntax="+hub.host+"/frontend:1\nFROM scratch\nCOPY file /\n", files{"file": "1"})
	equal(t, "file", contents(t, build(t, b, src).Image)["file"], "1")
	equal(t, "requests to the registry", hub.count("", ""), 0)
}

// Of an index, the enclave's platform is taken.
func TestANamedLayoutMayHoldSeveralPlatforms(t *testing.T) {
	b := shared(t)
	index := v1.ImageIndex(empty.Index)
	for _, architecture := range []string{"arm64", "amd64"} {
		add := image(t, v1.Config{}, files{"platform": architecture})
		platform := v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: add, Descriptor: platform})
	}
	dir := filepath.Join(t.TempDir(), "app@2") // as Jenkins names a second checkout
	path, err := layout.Write(dir, empty.Index)
	check(t, err)
	check(t, path.AppendIndex(index))
	src := source(t, "FROM base\n", nil)
	src.Contexts["base"] = "oci-layout://" + dir + "@" + must(index.Digest()).String()
	equal(t, "platform", contents(t, build(t, b, src).Image)["platform"], "amd64")
}

func TestArgumentsAndTarget(t *testing.T) {
	b := shared(t)
	src := source(t, `FROM program AS app
ARG GREETING=none
ARG SOURCE_DATE_EPOCH
RUN ["/program", "environment"]
FROM program AS other
RUN ["/program", "say", "", "", "1"]
`, nil)
	src.Args, src.Target, src.NoCache = map[string]string{"GREETING": "hello, \"world\""}, "app", true
	contains(t, "environment", build(t, b, src).log, "GREETING=hello, \"world\"\n", "SOURCE_DATE_EPOCH=1700000000\n")
}
