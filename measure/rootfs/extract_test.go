//go:build linux

package rootfs

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/pkg/archive"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"
)

// Layers that somebody made to be read as one thing and to run as another. The judge
// is what runs images: containerd's code, by which BuildKit extracts a layer, and the
// kernel's overlay and name look-up.

// hostile makes a layer: each pair of bytes is an entry's kind and name, and a third
// what it holds. Few names, so that entries meet.
func hostile(t *testing.T, data []byte) []byte {
	t.Helper()
	parts := []string{"a", "b", "conf", ".", "..", "a/b", "/a", "b/a", "conf/a"}
	name := func(b byte) string {
		n := parts[int(b)%len(parts)]
		if b >= 128 {
			n += "/" + parts[int(b/9)%len(parts)]
		}
		return n
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for i := 0; i+2 < len(data); i += 3 {
		h := &tar.Header{Name: name(data[i+1]), Mode: 0o600 + int64(data[i]>>4), Format: tar.FormatPAX}
		content := ""
		switch data[i] % 9 {
		case 0, 1, 2:
			h.Typeflag, content = tar.TypeReg, fmt.Sprint("content ", i, data[i+2])
		case 3:
			h.Typeflag = tar.TypeDir
		case 4:
			h.Typeflag, h.Linkname = tar.TypeSymlink, name(data[i+2])
		case 5:
			h.Typeflag, h.Linkname = tar.TypeLink, name(data[i+2])
		case 6:
			h.Typeflag, h.Name = tar.TypeReg, path.Join(path.Dir(h.Name), ".wh."+path.Base(h.Name))
		case 7:
			h.Typeflag, h.Name = tar.TypeReg, h.Name+"/.wh..wh..opq"
		case 8:
			h.Typeflag = []byte{tar.TypeFifo, tar.TypeChar, tar.TypeBlock, tar.TypeXGlobalHeader}[data[i+2]%4]
			h.Devminor = int64(data[i+2]) / 4 % 2
			if h.Typeflag == tar.TypeXGlobalHeader {
				h = &tar.Header{Typeflag: h.Typeflag, Name: h.Name, PAXRecords: map[string]string{"comment": "nothing"}, Format: tar.FormatPAX}
			}
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			continue // what no archive can hold
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func layerOf(t *testing.T, content []byte) v1.Layer {
	t.Helper()
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// extract lets containerd and the kernel make the file system of layers, and returns
// its folder. The error is that of containerd.
func extract(t *testing.T, layers [][]byte) (string, error) {
	t.Helper()
	world := t.TempDir()
	root := filepath.Join(world, "root")
	lower := []string{filepath.Join(world, "nothing")} // an overlay has two layers or more
	for _, dir := range []string{root, lower[0]} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i, layer := range layers {
		dir := filepath.Join(world, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		opts := []archive.ApplyOpt{archive.WithConvertWhiteout(archive.OverlayConvertWhiteout), archive.WithParents(lower)}
		if i == 0 {
			opts = nil // the lowest is mounted without an overlay
		}
		if _, err := archive.Apply(t.Context(), dir, bytes.NewReader(layer), opts...); err != nil {
			return "", err
		}
		lower = append([]string{dir}, lower...)
	}
	if err := unix.Mount("overlay", root, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(lower, ":")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return root, nil
}

// look says what the kernel finds at each path of a file system.
func look(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the kernel lists whiteouts in a folder that only one layer has
		}
		if err != nil || name == root {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		at := strings.TrimPrefix(name, root)
		switch info.Mode().Type() {
		case fs.ModeDir:
			found[at] = "folder"
		case fs.ModeSymlink:
			to, err := os.Readlink(name)
			found[at] = "link to " + to
			return err
		case 0:
			content, err := os.ReadFile(name)
			found[at] = fmt.Sprintf("file %x", sha256.Sum256(content))
			return err
		default:
			found[at] = "special"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// describe says the same of what this package read.
func describe(f File) string {
	switch f := f.content(); f.Type {
	case tar.TypeDir:
		return "folder"
	case tar.TypeSymlink:
		return "link to " + f.Link
	case tar.TypeReg:
		return fmt.Sprintf("file %x", f.Sum)
	}
	return "special"
}

// openIn opens a path as a process does whose root the folder is.
func openIn(root, name string) (string, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(dir)
	how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT}
	fd, err := unix.Openat2(dir, name, how)
	for range 1000 {
		// Of ".." the kernel says so whenever anybody renames or mounts anything
		// on the machine meanwhile, and wants to be asked again (openat2(2)).
		if !errors.Is(err, unix.EAGAIN) {
			break
		}
		fd, err = unix.Openat2(dir, name, how)
	}
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), name)
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("no file")
	}
	if err != nil {
		return "", errors.Join(err, f.Close())
	}
	content, err := io.ReadAll(f)
	return string(content), errors.Join(err, f.Close())
}

// checkHostile compares what is read of layers with what is extracted from them. It
// reports whether they can be extracted.
func checkHostile(t *testing.T, archives ...[]byte) bool {
	t.Helper()
	var layers []v1.Layer
	for _, a := range archives {
		layers = append(layers, layerOf(t, a))
	}
	read, readErr := Read(t.Context(), layers)
	root, err := extract(t, archives)
	if err != nil {
		return false // such an image runs nowhere
	}
	if readErr != nil {
		t.Fatalf("reading: %v; it can be extracted", readErr)
	}
	want := look(t, root)
	for at, is := range want {
		file, ok := read.Files[at]
		if !ok && is == "folder" {
			continue // one without an entry of its own
		}
		if got := describe(file); !ok || got != is {
			t.Errorf("%s is read as %q (%v), and extracted as %q", at, got, ok, is)
		}
	}
	for at, file := range read.Files {
		if _, ok := want[at]; !ok {
			t.Errorf("%s is read as %q, and not extracted", at, describe(file))
		}
	}
	r := NewReader(layers)
	for at := range want {
		for _, name := range []string{at, path.Dir(at) + "/../" + at, at + "/a"} {
			checkOpen(t, r, root, name)
		}
	}
	for _, name := range []string{"/a", "/conf/a", "/a/b", "/b/../conf/a", "/conf/../a", "a/./b/a"} {
		checkOpen(t, r, root, name)
	}
	return true
}

func checkOpen(t *testing.T, r *Reader, root, name string) {
	t.Helper()
	want, wantErr := openIn(root, name)
	got, err := readAll(t.Context(), r, name)
	if (err == nil) != (wantErr == nil) || got != want {
		t.Errorf("%s is opened as %q, %v; the kernel opens %q, %v", name, got, err, want, wantErr)
	}
}

func readAll(ctx context.Context, r *Reader, name string) (string, error) {
	_, file, err := r.Open(ctx, name)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(file)
	return string(content), errors.Join(err, file.Close())
}

func needOverlay(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("it needs root, to mount an overlay")
	}
}

// TestAttackLayers reads layers that were made at random to deceive.
func TestAttackLayers(t *testing.T) {
	needOverlay(t)
	t.Run("random layers are read as they are extracted", func(t *testing.T) {
		extracted := 0
		for seed := range uint64(400) {
			noise := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
			var layers [][]byte
			for range 1 + seed%3 {
				data := make([]byte, 3*(1+noise.Uint64()%6))
				noise.Read(data)
				layers = append(layers, hostile(t, data))
			}
			ok := false
			t.Run(fmt.Sprint(seed), func(t *testing.T) { ok = checkHostile(t, layers...) })
			if ok {
				extracted++
			}
		}
		if extracted < 100 {
			t.Errorf("only %d images could be extracted", extracted)
		}
	})
}

// FuzzLayers looks for layers that are read as something else than what runs.
func FuzzLayers(f *testing.F) {
	needOverlay(f)
	f.Add([]byte("\x00\x02\x00\x00\x02\x01"), []byte("\x04\x02\x01")) // twice the same name; a link in a folder's place
	f.Add([]byte("\x03\x00\x00\x00\x05\x00"), []byte("\x06\x00\x00\x03\x00\x00"))
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		if len(lower)+len(upper) > 300 {
			return
		}
		checkHostile(t, hostile(t, lower), hostile(t, upper))
	})
}
