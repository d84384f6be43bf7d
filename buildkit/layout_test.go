package buildkit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// laid writes a layout of images without layers, one for each architecture.
func laid(t *testing.T, architectures ...string) string {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, architecture := range architectures {
		image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: architecture, RootFS: v1.RootFS{Type: "layers"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := path.AppendImage(image); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestALayoutMustHoldOneImageForThePlatform(t *testing.T) {
	if err := checkPlatform(laid(t, "amd64")); err != nil {
		t.Errorf("one image: %v", err)
	}
	for want, dir := range map[string]string{
		"linux/arm64":  laid(t, "arm64"),
		"2 manifests":  laid(t, "amd64", "arm64"),
		"0 manifests":  laid(t),
		"no such file": filepath.Join(t.TempDir(), "none"),
	} {
		if err := checkPlatform(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// blob returns the blob of a store, or an error.
func blob(ctx context.Context, s *lazyStore, d digest.Digest) ([]byte, error) {
	info, err := s.Info(ctx, d)
	if err != nil {
		return nil, err
	}
	return content.ReadBlob(ctx, s, ocispec.Descriptor{Digest: d, Size: info.Size})
}

func TestALazyStoreCopiesABlobOnce(t *testing.T) {
	opened := 0 // only ever by one goroutine at a time
	s, err := newLazyStore(t.TempDir(), func(v1.Hash) (io.ReadCloser, error) {
		opened++
		return io.NopCloser(strings.NewReader("content")), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if data, err := blob(t.Context(), s, digest.FromString("content")); string(data) != "content" {
				t.Errorf("read %q, %v", data, err)
			}
		})
	}
	group.Wait()
	if opened != 1 {
		t.Errorf("the blob was copied %d times", opened)
	}
}

// checkedFile is a blob that need not be copied.
type checkedFile struct{ *os.File }

func (f checkedFile) Checked() string { return f.Name() }

func TestALazyStoreCopiesNoCheckedFile(t *testing.T) {
	const text = "content"
	path, dir := filepath.Join(t.TempDir(), "blob"), t.TempDir()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := newLazyStore(dir, func(v1.Hash) (io.ReadCloser, error) {
		file, err := os.Open(path)
		return checkedFile{file}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if data, err := blob(t.Context(), s, digest.FromString(text)); string(data) != text {
			t.Errorf("read %q, %v", data, err)
		}
	}
	if copies, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*")); err != nil || len(copies) > 0 {
		t.Errorf("it was copied to %q, %v", copies, err)
	}
}

// What an image's source returns for a digest is believed only if it has it.
func TestALazyStoreChecksWhatItCopies(t *testing.T) {
	want := digest.FromString("content")
	for name, c := range map[string]struct {
		open blobs
		is   error
	}{
		"other content": {func(v1.Hash) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("another")), nil }, nil},
		"half of it":    {func(v1.Hash) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("cont")), nil }, nil},
		"none":          {layoutBlobs(t.TempDir()), errdefs.ErrNotFound},
		"broken":        {func(v1.Hash) (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }, io.ErrUnexpectedEOF},
	} {
		s, err := newLazyStore(t.TempDir(), c.open)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			data, err := blob(t.Context(), s, want)
			if err == nil || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%s: %q, %v, want %v", name, data, err, c.is)
			}
		}
	}
	s, err := newLazyStore(t.TempDir(), layoutBlobs(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Info(t.Context(), "no digest"); !errdefs.IsInvalidArgument(err) {
		t.Errorf("no digest: %v", err)
	}
}

// partials returns what lies beside an output.
func partials(t *testing.T, parent string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func TestPartialFoldersOfDeadBuildsGo(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "a[b*") // no pattern
	output := filepath.Join(parent, "image") + "/"
	_, removeLive, err := makePartial(output)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".image.dead/image", ".image.users", ".imagery.dead"} {
		if err := os.MkdirAll(filepath.Join(parent, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(parent, ".image.dead", lockFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, remove, err := makePartial(output)
	if err != nil {
		t.Fatal(err)
	}
	found := partials(t, parent)
	if len(found) != 4 || slices.Contains(found, ".image.dead") || !slices.Contains(found, ".image.users") {
		t.Errorf("found %q, want two live builds' and two others' folders", found)
	}
	remove()
	removeLive()
	if found := partials(t, parent); !slices.Equal(found, []string{".image.users", ".imagery.dead"}) {
		t.Errorf("found %q after both builds", found)
	}
}

// keychain answers for every registry.
type keychain struct {
	asked string
	found authn.AuthConfig
	err   error
}

// Resolve implements authn.Keychain.
func (k *keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	k.asked = target.RegistryStr()
	return authn.FromConfig(k.found), k.err
}

func TestCredentialsComeFromTheKeychain(t *testing.T) {
	k := &keychain{found: authn.AuthConfig{Username: "u", Password: "p", IdentityToken: "i", RegistryToken: "r"}}
	for host, asked := range map[string]string{"registry-1.docker.io": "index.docker.io", "example.org:5000": "example.org:5000", "127.0.0.1:5000": "127.0.0.1:5000"} {
		got, err := credentials(k)(t.Context(), host, nil, nil)
		want := types.AuthConfig{Username: "u", Password: "p", IdentityToken: "i", RegistryToken: "r"}
		if err != nil || got != want || k.asked != asked {
			t.Errorf("%s: %+v, %v, asked for %s, want %s", host, got, err, k.asked, asked)
		}
	}
	if got, err := credentials(nil)(t.Context(), "example.org", nil, nil); got != (types.AuthConfig{}) || err != nil {
		t.Errorf("no keychain: %+v, %v", got, err)
	}
	k.err = errors.New("locked")
	if _, err := credentials(k)(t.Context(), "example.org", nil, nil); !errors.Is(err, k.err) {
		t.Errorf("a locked keychain: %v", err)
	}
	if _, err := credentials(k)(t.Context(), "no host/", nil, nil); err == nil {
		t.Error("no host: no error")
	}
}

func TestMaterialsAreSortedAndToldOnce(t *testing.T) {
	dependency := func(uri, algorithm, hex string) string {
		return `{"uri": "` + uri + `", "digest": {"` + algorithm + `": "` + hex + `"}}`
	}
	statement := func(list ...string) []byte {
		return []byte(`{"predicate": {"buildDefinition": {"resolvedDependencies": [` + strings.Join(list, ",") + `]}}}`)
	}
	one, two, commit := strings.Repeat("1", 64), strings.Repeat("2", 64), strings.Repeat("c", 40)
	got, err := parseMaterials(statement(dependency("b", "sha256", one), dependency("a", "sha256", two), dependency("git", "sha1", commit), dependency("b", "sha256", one), dependency("a", "sha256", one)))
	want := []Material{{"a", digest.Digest("sha256:" + one)}, {"a", digest.Digest("sha256:" + two)}, {"b", digest.Digest("sha256:" + one)}, {"git", digest.Digest("sha1:" + commit)}}
	for _, unsaid := range []string{`{"uri": "a"}`, dependency("a", "sha256", ""), dependency("a", "sha256", commit), dependency("a", "sha1", one), dependency("a", "md5", one), dependency("a", "sha1", strings.ToUpper(commit))} {
		var me *MaterialError
		if _, err := parseMaterials(statement(unsaid)); !errors.As(err, &me) || me.URI != "a" {
			t.Errorf("%s: %v, want a MaterialError", unsaid, err)
		}
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if got, err := parseMaterials([]byte(`{}`)); len(got) != 0 || err != nil {
		t.Errorf("nothing taken: %v, %v", got, err)
	}
	if _, err := parseMaterials([]byte(`[`)); err == nil {
		t.Error("no statement: no error")
	}
}

func TestRuntimeIsFoundInThePath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "runc"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if found := findRuntime(dir); filepath.Dir(found) == dir {
		t.Errorf("found %q, which cannot be executed", found)
	}
	for _, name := range []string{"runc", "buildkit-runc"} { // the latter comes first
		file := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(file, nil, 0o755), os.Chmod(file, 0o755)); err != nil {
			t.Fatal(err)
		}
		if found := findRuntime("/nowhere:" + dir); found != file {
			t.Errorf("found %q, want %q", found, file)
		}
	}
}

func TestOutputsOfAProgramMayBeMissing(t *testing.T) {
	var buf bytes.Buffer
	for _, w := range []io.Writer{nil, &buf} {
		out := output(w)
		if _, err := io.WriteString(out, "text"); err != nil || out.Close() != nil {
			t.Errorf("writing to %v: %v", w, err)
		}
	}
	if buf.String() != "text" {
		t.Errorf("written: %q", &buf)
	}
}
