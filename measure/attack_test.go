package measure_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mrelease/mrelease/measure"
)

// entry is an entry of a layer; its kind is that of archive/tar.
type entry struct {
	kind          byte
	name, content string // of a link: where it leads
}

func archiveOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Typeflag: e.kind, Name: e.name, Mode: 0o644, Size: int64(len(e.content)), Devminor: 3}
		if e.kind != tar.TypeReg {
			h.Size, h.Linkname, e.content = 0, e.content, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func layered(t *testing.T, archives ...[]byte) v1.Image {
	t.Helper()
	img := empty.Image
	for _, a := range archives {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(a)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// TestAttackFingerprintFile states the fingerprint by a file that is something else to
// a process in the container than to a careless reader of layers.
func TestAttackFingerprintFile(t *testing.T) {
	const at = "conf/fingerprint.txt"
	honest, lie := key+"|"+tag+"|"+hash, key+"|"+tag+"|"+other
	honestFile := entry{tar.TypeReg, at, honest}
	for name, layers := range map[string][][]byte{
		"the first of two entries lies":           {archiveOf(t, entry{tar.TypeReg, at, lie}, honestFile)},
		"a link in the upper layer leads past it": {archiveOf(t, entry{tar.TypeReg, at, lie}), archiveOf(t, entry{tar.TypeReg, "other/fingerprint.txt", honest}, entry{tar.TypeSymlink, "conf", "other"})},
		"a file goes through a link of its layer": {archiveOf(t, entry{tar.TypeReg, at, lie}), archiveOf(t, entry{tar.TypeSymlink, "way", "conf"}, entry{tar.TypeDir, "conf/", ""}, entry{tar.TypeReg, "way/fingerprint.txt", honest})},
		"a second name that was written over":     {archiveOf(t, entry{tar.TypeReg, "x", honest}, entry{tar.TypeLink, at, "x"}, entry{tar.TypeReg, "x", lie})},
		"a folder lies in a link's place":         {archiveOf(t, entry{tar.TypeSymlink, "conf", "other"}, entry{tar.TypeReg, "other/fingerprint.txt", lie}), archiveOf(t, honestFile)},
		"a dot on the way":                        {archiveOf(t, entry{tar.TypeReg, at, lie}), archiveOf(t, entry{tar.TypeReg, "./conf/../" + at, honest})},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, layered(t, layers...), legacy())
			if err != nil || e.Value != honest {
				t.Errorf("measured %q, %v", e.Value, err)
			}
		})
	}
	for name, c := range map[string]struct {
		layers []byte
		actual string
	}{
		"a pipe":                      {archiveOf(t, entry{tar.TypeFifo, at, ""}), "a named pipe"},
		"a device":                    {archiveOf(t, entry{tar.TypeChar, at, ""}), "a device"},
		"a disk":                      {archiveOf(t, entry{tar.TypeBlock, at, ""}), "a device"},
		"a folder":                    {archiveOf(t, entry{tar.TypeDir, at + "/", ""}), "a folder"},
		"a link to itself":            {archiveOf(t, entry{tar.TypeSymlink, at, "fingerprint.txt"}), "links"},
		"links in a circle":           {archiveOf(t, entry{tar.TypeSymlink, "conf", "b"}, entry{tar.TypeSymlink, "b", "/conf"}), "links"},
		"100 KB":                      {archiveOf(t, entry{tar.TypeReg, at, strings.Repeat(" ", 100<<10)}), "102400 bytes"},
		"a second name of nothing":    {archiveOf(t, entry{tar.TypeLink, at, "nothing"}), "hard link"},
		"in the place of a file":      {archiveOf(t, entry{tar.TypeReg, "conf", ""}, honestFile), "no folder"},
		"of a kind that nobody knows": {archiveOf(t, entry{'7', at, ""}), "unknown kind"},
		"no archive":                  {[]byte(strings.Repeat("nothing ", 512)), "no archive"},
	} {
		t.Run(name, func(t *testing.T) {
			img, spec := layered(t, c.layers), legacy()
			_, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, img, spec)
			_, _, statedErr := measure.Stated(t.Context(), img, spec)
			for _, err := range []error{err, statedErr} {
				var file *measure.FileError
				if !errors.As(err, &file) || !strings.Contains(file.Actual, c.actual) {
					t.Errorf("%v, want a FileError about %q", err, c.actual)
				}
			}
		})
	}
}
