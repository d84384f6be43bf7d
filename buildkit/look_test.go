package buildkit_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Files are those of a process in the image's container: links lead where they lead
// there, and never out of it.
func TestLook(t *testing.T) {
	t.Parallel()
	b := shared(t)
	big := strings.Repeat("0123456789abcdef", 1<<18)
	upper := image(t, v1.Config{}, files{
		"bin": "folder", "bin/tool": big, "tool": "-> /bin/tool", "loop": "-> loop", "out": "-> ../../../../etc/passwd", "none": "-> /nowhere",
	})
	other := image(t, v1.Config{}, files{"other": "another image"})
	err := b.Look(t.Context(), []v1.Image{upper, other}, func(roots []fs.FS) error {
		for name, want := range map[string]string{"bin/tool": big, "tool": big} {
			if got, err := fs.ReadFile(roots[0], name); err != nil || string(got) != want {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
		}
		for _, name := range []string{"none", "nothing", "bin/tool/below", "out", "other"} {
			if _, err := roots[0].Open(name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v, want that it does not exist", name, err)
			}
		}
		for _, name := range []string{"loop", "bin", "/bin/tool", "../bin"} {
			if _, err := roots[0].Open(name); !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%s: %v, want that it is invalid", name, err)
			}
		}
		file, err := roots[0].Open("tool")
		if err != nil {
			return err
		}
		defer file.Close()
		part := make([]byte, 32)
		if n, err := file.(io.ReaderAt).ReadAt(part, int64(len(big)-16)); n != 16 || err != io.EOF || string(part[:n]) != big[len(big)-16:] {
			t.Errorf("at the end: %d bytes, %v", n, err)
		}
		if text, err := fs.ReadFile(roots[1], "other"); err != nil || string(text) != "another image" {
			t.Errorf("the second image: %q, %v", text, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	own := errors.New("an error of the caller's")
	if err := b.Look(t.Context(), []v1.Image{other}, func([]fs.FS) error { return own }); !errors.Is(err, own) {
		t.Errorf("got %v", err)
	}
}

// Bytes of a layout that are not the layer's are refused, and the builder, which would not take
// the right ones after them, never sees them.
func TestAChangedLayerOfALayout(t *testing.T) {
	t.Parallel()
	b := shared(t)
	large := make([]byte, 2<<20)
	rand.NewChaCha8([32]byte{7}).Read(large)
	whole := image(t, v1.Config{}, files{"large": string(large)})
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	check(t, err)
	check(t, path.AppendImage(whole))
	there := must(path.Image(must(whole.Digest())))
	manifest := must(there.Manifest())
	blob := filepath.Join(dir, "blobs", "sha256", manifest.Layers[0].Digest.Hex)
	right := must(os.ReadFile(blob))
	wrong := bytes.Clone(right)
	wrong[len(wrong)/2] ^= 1
	check(t, os.WriteFile(blob, wrong, 0o644))
	look := func() (found []byte, err error) {
		err = b.Look(t.Context(), []v1.Image{there}, func(roots []fs.FS) (err error) {
			found, err = fs.ReadFile(roots[0], "large")
			return err
		})
		return found, err
	}
	if found, err := look(); err == nil {
		t.Errorf("a changed layer was taken, with a file of %d bytes", len(found))
	}
	check(t, os.WriteFile(blob, right, 0o644))
	if found, err := look(); err != nil || !bytes.Equal(found, large) {
		t.Errorf("the layer as it was: %d bytes, %v", len(found), err)
	}
}
