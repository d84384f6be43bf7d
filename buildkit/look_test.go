package buildkit_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
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
