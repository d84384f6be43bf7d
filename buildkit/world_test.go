package buildkit_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mrelease/mrelease/buildkit"
)

var epoch = time.Unix(1_700_000_000, 0)

// files are what a folder or an image holds, by path: the content of a file,
// or "folder", or "-> " and the target of a link.
type files map[string]string

// compile makes the static program that the tests' containers run.
var compile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "program")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", file, "./testdata/program")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(err, errors.New(string(out)))
	}
	return os.ReadFile(file)
})

// common is the builder of the tests that do not care what it built before.
// TestMain closes it.
var common commonBuilder

type commonBuilder struct {
	once    sync.Once
	dir     string
	builder *buildkit.Builder
	err     error
}

func (c *commonBuilder) open() {
	if c.dir, c.err = os.MkdirTemp("", ""); c.err == nil {
		c.builder, c.err = buildkit.Open(context.Background(), buildkit.Options{Builder: buildkit.Embedded, State: filepath.Join(c.dir, "state")})
	}
}

func (c *commonBuilder) close() error {
	if c.builder == nil {
		return os.RemoveAll(c.dir)
	}
	return errors.Join(c.builder.Close(), os.RemoveAll(c.dir)) // which fails if a mount is left
}

// shared returns the builder that tests share.
func shared(t *testing.T) *buildkit.Builder {
	t.Helper()
	common.once.Do(common.open)
	return opened(t, common.builder, common.err)
}

// open brings up a builder in a state folder of its own, unless one is named.
func open(t *testing.T, opts buildkit.Options) *buildkit.Builder {
	t.Helper()
	b := openUnclosed(t, opts)
	t.Cleanup(func() { shut(t, b) })
	return b
}

func openUnclosed(t *testing.T, opts buildkit.Options) *buildkit.Builder {
	t.Helper()
	opts.Builder = cmp.Or(opts.Builder, buildkit.Embedded)
	opts.State = cmp.Or(opts.State, filepath.Join(t.TempDir(), "state"))
	b, err := buildkit.Open(t.Context(), opts)
	return opened(t, b, err)
}

// opened skips the test on a machine that cannot run containers. In CI that is
// a failure.
func opened(t *testing.T, b *buildkit.Builder, err error) *buildkit.Builder {
	t.Helper()
	var none *buildkit.NoBuilderError
	if errors.As(err, &none) && none.Attempts[0].Builder == buildkit.Embedded && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func shut(t *testing.T, b *buildkit.Builder) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Errorf("closing builder: %v", err)
	}
}

// source writes a context. Its Dockerfile can say FROM program.
func source(t *testing.T, dockerfile string, more files) buildkit.Source {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, more)
	write(t, dir, files{"Dockerfile": dockerfile})
	return buildkit.Source{Context: dir, Epoch: epoch, Contexts: map[string]string{"program": reference(t, programImage(t, v1.Config{}))}}
}

func write(t *testing.T, dir string, content files) {
	t.Helper()
	for name, text := range content {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must returns the value of a call that cannot fail here.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// made is a build and what its steps printed.
type made struct {
	buildkit.Built
	dir, log string
}

func (m made) manifest() v1.Hash { return must(m.Image.Digest()) }
func (m made) config() v1.Hash   { return must(m.Image.ConfigName()) }

func build(t *testing.T, b *buildkit.Builder, src buildkit.Source) made {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "image")
	var log bytes.Buffer
	built, err := b.Build(t.Context(), src, dir, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	return made{built, dir, log.String()}
}

// fail builds what cannot be built and makes sure that nothing is left of it.
func fail(t *testing.T, b *buildkit.Builder, src buildkit.Source) (log string, err error) {
	t.Helper()
	parent := t.TempDir()
	var printed bytes.Buffer
	_, err = b.Build(t.Context(), src, filepath.Join(parent, "image"), &printed)
	if err == nil {
		t.Fatalf("the build succeeded and printed %q", &printed)
	}
	if left := names(t, parent); len(left) > 0 {
		t.Errorf("the failed build left %q beside its output", left)
	}
	return printed.String(), err
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

// programLayer is the layer that all images of the program share.
var programLayer = sync.OnceValues(func() (v1.Layer, error) {
	program, err := compile()
	if err != nil {
		return nil, err
	}
	return layer(files{"program": string(program)})
})

// programImage makes an image of the program.
func programImage(t *testing.T, config v1.Config) v1.Image {
	t.Helper()
	l, err := programLayer()
	check(t, err)
	return assemble(config, l)
}

// image makes an image of some files.
func image(t *testing.T, config v1.Config, content files) v1.Image {
	t.Helper()
	l, err := layer(content)
	check(t, err)
	return assemble(config, l)
}

func assemble(config v1.Config, l v1.Layer) v1.Image {
	made := must(mutate.AppendLayers(empty.Image, l))
	file := must(made.ConfigFile()).DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", "amd64", config
	return must(mutate.ConfigFile(made, file))
}

// layer makes a layer of files that everybody may do everything with.
func layer(content files) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(content)) {
		text := content[name]
		header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o777, Size: int64(len(text))}
		if target, isLink := strings.CutPrefix(text, "-> "); isLink {
			header, text = &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: target}, ""
		} else if text == "folder" {
			header, text = &tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o777}, ""
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil }
	return tarball.LayerFromOpener(opener, tarball.WithCompressionLevel(1), tarball.WithCompressedCaching)
}

// reference writes an image to a layout and returns its name for a build.
func reference(t *testing.T, image v1.Image) string {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	check(t, err)
	check(t, path.AppendImage(image))
	return "oci-layout://" + dir + "@" + must(image.Digest()).String()
}

// contents returns what an image's layers put into its file system.
func contents(t *testing.T, image v1.Image) files {
	t.Helper()
	found := files{}
	stream := mutate.Extract(image)
	defer stream.Close()
	r := tar.NewReader(stream)
	for {
		header, err := r.Next()
		if err == io.EOF {
			return found
		}
		check(t, err)
		name := strings.TrimSuffix(header.Name, "/")
		switch header.FileInfo().Mode().Type() {
		case fs.ModeDir:
			found[name] = "folder"
		case fs.ModeSymlink:
			found[name] = "-> " + header.Linkname
		default:
			found[name] = string(must(io.ReadAll(r)))
		}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: %q, want %q in it", what, text, part)
		}
	}
}
