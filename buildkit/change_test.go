package buildkit_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/buildkit"
)

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
			_, err := fail(t, b, src)
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

// What was digested is what is built, or nothing is.
func TestASourceThatWasReadIsBuiltOfThat(t *testing.T) {
	t.Parallel()
	b := shared(t)
	src := source(t, "FROM scratch\nCOPY . /\n", files{"file": "read once"})
	read := must(src.Read(t.Context()))
	before := must(read.Digest(t.Context()))
	write(t, src.Context, files{"file": "and changed"})
	equal(t, "digest of what was read", must(read.Digest(t.Context())), before)
	_, err := fail(t, b, read)
	contains(t, "error", err.Error(), `sending "file"`)

	other := read
	other.Context = source(t, "FROM scratch\nCOPY . /\n", files{"file": "elsewhere"}).Context
	equal(t, "file of another folder", contents(t, build(t, b, other).Image)["file"], "elsewhere")
	equal(t, "file when it is read again", contents(t, build(t, b, src).Image)["file"], "and changed")
}
