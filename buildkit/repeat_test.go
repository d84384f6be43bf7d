//go:build linux && amd64

package buildkit_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/mrelease/mrelease/buildkit"
)

// checkout is what differs between two copies of one commit.
type checkout struct {
	file, executable, folder os.FileMode
	time                     time.Time
	backwards                bool // created in the other order
	linked                   bool // equal files are hard links
	extras                   bool // extended attributes, and a pipe
}

var (
	usual = checkout{file: 0o644, executable: 0o755, folder: 0o755, time: epoch.Add(-20 * 365 * 24 * time.Hour)}
	odd   = checkout{file: 0o600, executable: 0o700, folder: 0o700, time: epoch.Add(10 * 365 * 24 * time.Hour), backwards: true, linked: true, extras: true}
)

const repeatable = `FROM program
COPY . /app
RUN ["/program", "write", "/made", "by a step"]
RUN ["/program", "list", "/app", "/seen"]
`

// write makes the checkout of a small source.
func (c checkout) write(t *testing.T) buildkit.Source {
	t.Helper()
	src := source(t, repeatable, nil)
	at := func(name string) string { return filepath.Join(src.Context, name) }
	put := func(name string, mode os.FileMode) func() {
		return func() { check(t, os.WriteFile(at(name), []byte("same"), mode)) }
	}
	steps := []func(){
		put("file", c.file),
		put("run", c.executable),
		put("folder/deep", c.file),
		func() { check(t, os.Symlink("../file", at("folder/link"))) },
		func() { check(t, os.Mkdir(at("empty"), c.folder)) },
	}
	if c.backwards {
		slices.Reverse(steps)
	}
	check(t, os.Mkdir(at("folder"), c.folder))
	for _, step := range steps {
		step()
	}
	if c.linked {
		check(t, os.Link(at("file"), at("twin")))
	} else {
		put("twin", c.file)()
	}
	if c.extras {
		capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		check(t, unix.Setxattr(at("run"), "security.capability", capability, 0))
		check(t, unix.Mkfifo(at("pipe"), 0o644))
	}
	c.finish(t, src.Context)
	return src
}

// finish sets the modes, against the umask, and the times of everything.
func (c checkout) finish(t *testing.T, dir string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.Type() == os.ModeSymlink {
			return err
		}
		mode := c.file
		switch {
		case entry.IsDir():
			mode = c.folder
		case entry.Name() == "run":
			mode = c.executable
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
		return os.Chtimes(path, c.time, c.time)
	}))
}

// Two machines have nothing in common but the commit.
func TestTheSameSourceMakesTheSameImage(t *testing.T) {
	t.Parallel()
	one, other := usual.write(t), odd.write(t)
	first := build(t, open(t, buildkit.Options{}), one)
	second := build(t, open(t, buildkit.Options{}), other)
	equal(t, "manifest", second.manifest(), first.manifest())
	equal(t, "configuration", second.config(), first.config())
	equal(t, "sources digest", must(other.Digest(t.Context())), must(one.Digest(t.Context())))
	equal(t, "what a step saw", contents(t, second.Image)["seen"], contents(t, first.Image)["seen"])
}

// A builder that has the files of one checkout must not mix them into the
// image of another.
func TestTheSameBuilderMakesTheSameImageOfBothCheckouts(t *testing.T) {
	t.Parallel()
	b := open(t, buildkit.Options{})
	first, second := build(t, b, usual.write(t)), build(t, b, odd.write(t))
	equal(t, "manifest", second.manifest(), first.manifest())
	equal(t, "output of the second build", second.log, "")
}

func TestCacheDoesNotShow(t *testing.T) {
	t.Parallel()
	b := open(t, buildkit.Options{})
	src := source(t, "FROM program\nCOPY file /\nRUN [\"/program\", \"print\", \"ran\"]\nRUN [\"/program\", \"write\", \"/made\", \"1\"]\n", files{"file": "1"})
	cold, warm := build(t, b, src), build(t, b, src)
	src.NoCache = true
	anew := build(t, b, src)
	equal(t, "output of the cold build", cold.log, "ran\n")
	equal(t, "output of the warm build", warm.log, "")
	equal(t, "output without the cache", anew.log, "ran\n")
	equal(t, "manifest of the warm build", warm.manifest(), cold.manifest())
	equal(t, "manifest without the cache", anew.manifest(), cold.manifest())
}

// In a container, the temporary folder often lies on an overlay, on which no
// other overlay can be mounted.
func TestAFileSystemWithoutOverlayMakesTheSameImage(t *testing.T) {
	t.Parallel()
	common := shared(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		check(t, os.Mkdir(at(name), 0o755))
	}
	check(t, unix.Mount("overlay", at("merged"), "overlay", 0, "lowerdir="+at("lower")+",upperdir="+at("upper")+",workdir="+at("work")))
	// Detached, as containerd leaves a deleted file open until it is collected.
	t.Cleanup(func() { check(t, unix.Unmount(at("merged"), unix.MNT_DETACH)) })
	opts := buildkit.Options{Builder: buildkit.Embedded, State: at("merged/state")}
	equal(t, "how layers are kept", must(buildkit.Probe(t.Context(), opts)).Layers, "native")

	b := open(t, opts)
	src := source(t, "FROM program\nCOPY . /app\nRUN [\"/program\", \"write\", \"/app/made\", \"1\"]\n", files{"folder/file": "1"})
	equal(t, "manifest", build(t, b, src).manifest(), build(t, common, src).manifest())
	equal(t, "run", run(t, b, does(t, "print", "alive")).stdout, "alive\n")
}

// The umask is this process's: that of the user's shell must not get into an
// image, nor keep a program that is not root's from its own root.
func TestTheUmaskDoesNotShow(t *testing.T) {
	common, before := shared(t), unix.Umask(0o077)
	t.Cleanup(func() { unix.Umask(before) })
	src, b := usual.write(t), open(t, buildkit.Options{})
	equal(t, "manifest", build(t, b, src).manifest(), build(t, common, src).manifest())
	config := v1.Config{Entrypoint: []string{"/program", "whoami"}, User: "1234"}
	equal(t, "run", run(t, b, programImage(t, config)), ended{stdout: "1234 0 /\n"})
}

func TestAnotherEpochIsAnotherImage(t *testing.T) {
	t.Parallel()
	b := shared(t)
	src := source(t, "FROM scratch\nCOPY file /\n", files{"file": "1"})
	first := build(t, b, src)
	src.Epoch = epoch.Add(time.Hour)
	second := build(t, b, src)
	if first.manifest() == second.manifest() {
		t.Error("both epochs give the same manifest")
	}
	equal(t, "creation time", must(second.Image.ConfigFile()).Created.Unix(), src.Epoch.Unix())
}

func TestTheLayoutIsOfOneImageAndNothingElse(t *testing.T) {
	t.Parallel()
	src := source(t, "FROM program\nRUN [\"/program\", \"write\", \"/made\", \"\"]\n", nil)
	src.Annotations = map[string]string{"org.example.note": "a, \"b\" = c"}
	got := build(t, shared(t), src)
	manifest := must(got.Image.Manifest())
	equal(t, "annotation", manifest.Annotations["org.example.note"], `a, "b" = c`)
	want := []string{got.manifest().Hex, got.config().Hex}
	for _, layer := range manifest.Layers {
		want = append(want, layer.Digest.Hex)
	}
	slices.Sort(want)
	if found := names(t, filepath.Join(got.dir, "blobs", "sha256")); !slices.Equal(found, want) {
		t.Errorf("blobs: %q, want %q", found, want)
	}
	if found := names(t, got.dir); !slices.Equal(found, []string{"blobs", "index.json", "oci-layout"}) {
		t.Errorf("layout: %q", found)
	}
}

// Compression is of the manifest alone: the configuration is the same, and so is what
// is in the image and how its program runs. It is the same with another builder.
func TestLayersCompressedByZstd(t *testing.T) {
	t.Parallel()
	src := usual.write(t)
	write(t, src.Context, files{"Dockerfile": repeatable + "ENTRYPOINT [\"/program\", \"list\", \"/app\", \"/again\"]\n"})
	b := open(t, buildkit.Options{})
	gzip := build(t, b, src)
	before := must(src.Digest(t.Context()))
	src.Compression = buildkit.CompressionGzip
	equal(t, "inputs with gzip", must(src.Digest(t.Context())), before)
	src.Compression = buildkit.CompressionZstd
	if must(src.Digest(t.Context())) == before {
		t.Error("the inputs are those of the image that is compressed by gzip")
	}
	zstd := build(t, b, src)
	equal(t, "configuration", must(zstd.Image.ConfigName()), must(gzip.Image.ConfigName()))
	if a, b := contents(t, zstd.Image), contents(t, gzip.Image); !maps.Equal(a, b) {
		t.Errorf("it holds %v, want %v", a, b)
	}
	wholeLayers(t, "zstd", zstd)
	for i, l := range must(zstd.Image.Manifest()).Layers {
		want := types.OCILayerZStd
		if i == 0 { // the base's
			want = must(gzip.Image.Manifest()).Layers[0].MediaType
		}
		equal(t, "form of a layer", l.MediaType, want)
	}
	equal(t, "another builder's manifest", build(t, open(t, buildkit.Options{Builder: serve(t)}), src).manifest(), zstd.manifest())
	fresh := open(t, buildkit.Options{}) // which has to unpack it
	equal(t, "exit code of its program", run(t, fresh, zstd.Image).code, 0)

	src.Compression = "lz4"
	if err := src.Validate(); err == nil || !strings.Contains(err.Error(), `"lz4"`) {
		t.Errorf("%v, want an error about lz4", err)
	}
}
