package buildkit_test

import (
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
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
	err, _ := fail(t, b, src)
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

// duringBuild makes a source during whose build something happens: when the
// base image is asked for, the sources have been hashed and not been sent.
func duringBuild(t *testing.T, more files, happens func(dir string)) buildkit.Source {
	t.Helper()
	var src buildkit.Source
	hub := (&registry{}).serve(t)
	hub.push(t, image(t, v1.Config{}, files{"version": "1"}))
	hub.before = func(request *http.Request) {
		if strings.Contains(request.URL.Path, "/manifests/") {
			happens(src.Context)
		}
	}
	src = source(t, "FROM "+hub.host+"/base:1\nCOPY . /\n", more)
	return src
}

func TestAFileThatChangesDuringTheBuildIsRefused(t *testing.T) {
	b := shared(t)
	for name, change := range map[string]func(file string) error{
		"other byte": func(file string) error { return os.WriteFile(file, []byte("2"), 0o644) },
		"longer":     func(file string) error { return os.WriteFile(file, []byte("11"), 0o644) },
		"removed":    os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			src := duringBuild(t, files{"file": "1"}, func(dir string) {
				if err := change(filepath.Join(dir, "file")); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
			})
			start := time.Now()
			err, _ := fail(t, b, src)
			contains(t, "error", err.Error(), `sending "file"`)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %s to say so", took)
			}
			// What was refused must not come back from the builder's cache.
			undisturbed := source(t, "FROM scratch\nCOPY . /\n", files{"file": "1"})
			equal(t, "file of the next build", contents(t, build(t, b, undisturbed).Image)["file"], "1")
		})
	}
}

// The image is that of the sources as they were hashed, whatever else happens
// to their folder.
func TestOtherChangesDuringTheBuildDoNotShow(t *testing.T) {
	t.Parallel()
	b := shared(t)
	sources := files{"file": "1", "other": "2", "folder/file": "3"}
	src := duringBuild(t, sources, func(dir string) {
		at := func(name string) string { return filepath.Join(dir, name) }
		write(t, dir, files{"new": "4", "folder/new": "5"})
		check(t, os.Chmod(at("file"), 0o755))
		if err := os.Remove(at("link")); err == nil {
			check(t, os.Symlink("other", at("link")))
		}
	})
	check(t, os.Symlink("file", filepath.Join(src.Context, "link")))
	disturbed := build(t, b, src)
	if _, ok := contents(t, disturbed.Image)["new"]; ok {
		t.Error("the image holds a file that is not in the digest")
	}

	dockerfile := must(os.ReadFile(filepath.Join(src.Context, "Dockerfile")))
	src = source(t, string(dockerfile), sources)
	check(t, os.Symlink("file", filepath.Join(src.Context, "link")))
	equal(t, "manifest", disturbed.manifest(), build(t, open(t, buildkit.Options{}), src).manifest())
}

// The output may lie in the context: then no build sees the files of its own.
func TestTheOutputMayLieInTheContext(t *testing.T) {
	b := shared(t)
	src := source(t, "FROM scratch\nCOPY . /\n", files{"file": "1"})
	built := must(b.Build(t.Context(), src, filepath.Join(src.Context, "dist", "image"), nil))
	if found := contents(t, built.Image); len(found) != 2 {
		t.Errorf("the image holds %d entries, want the file and the Dockerfile", len(found))
	}
}

func TestTheDockerfileMayBeALink(t *testing.T) {
	b := shared(t)
	src := source(t, "", files{"docker/file": "FROM scratch\nCOPY file /\n", "file": "1"})
	src.Dockerfile = filepath.Join(src.Context, "App")
	check(t, os.Symlink("docker/file", src.Dockerfile))
	equal(t, "file", contents(t, build(t, b, src).Image)["file"], "1")
}
