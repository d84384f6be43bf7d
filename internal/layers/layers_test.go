package layers_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/mrelease/mrelease/internal/layers"
)

// Each form comes back as it was; what is of another, or of none, is an error.
func TestDecompress(t *testing.T) {
	const content = "a layer"
	var zipped, packed bytes.Buffer
	write(t, gzip.NewWriter(&zipped), content)
	write(t, encoder(t, &packed), content)
	for form, layer := range map[types.MediaType][]byte{
		types.OCIUncompressedLayer: []byte(content), types.OCILayer: zipped.Bytes(), types.DockerLayer: zipped.Bytes(), types.OCILayerZStd: packed.Bytes(),
	} {
		if got, err := read(layer, form); err != nil || got != content {
			t.Errorf("%s: %q, %v", form, got, err)
		}
	}
	for form, layer := range map[types.MediaType][]byte{types.OCILayer: packed.Bytes(), types.OCILayerZStd: zipped.Bytes(), "application/x": []byte(content)} {
		if got, err := read(layer, form); err == nil {
			t.Errorf("%s: %q", form, got)
		}
	}
}

// What the first bytes say counts, whatever the media type says.
func TestUncompressed(t *testing.T) {
	const content = "a layer"
	var zipped, packed bytes.Buffer
	write(t, gzip.NewWriter(&zipped), content)
	write(t, encoder(t, &packed), content)
	skipped := append([]byte{0x53, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'}, packed.Bytes()...) // a frame that zstd skips is before it
	for name, layer := range map[string][]byte{"tar": []byte(content), "gzip": zipped.Bytes(), "zstd": packed.Bytes(), "zstd behind a frame to skip": skipped} {
		for _, form := range []types.MediaType{types.OCIUncompressedLayer, types.OCILayer, types.OCILayerZStd, "application/x"} {
			r, err := layers.Uncompressed(static.NewLayer(layer, form))
			if err != nil {
				t.Errorf("%s as %s: %v", name, form, err)
				continue
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != content {
				t.Errorf("%s as %s: %q, %v", name, form, got, err)
			}
			if err := r.Close(); err != nil {
				t.Errorf("%s as %s: %v", name, form, err)
			}
		}
	}
	for short, isTar := range map[string]bool{"": true, "\x1f": true, "\x28\xb5\x2f": true, "\x1f\x8b\x08": false, "\x28\xb5\x2f\xfd": false} {
		r, err := layers.Uncompressed(static.NewLayer([]byte(short), types.OCILayer))
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
		}
		if (err == nil) != isTar || string(got) != short && isTar {
			t.Errorf("%q: %q, %v", short, got, err)
		}
	}
}

// A layer cannot ask for as much memory as it likes.
func TestAttackWindow(t *testing.T) {
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed, zstd.WithWindowSize(256<<20))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(z, "a layer"); err != nil {
		t.Fatal(err)
	}
	if err := z.Flush(); err != nil { // so that the frame is not known to be small
		t.Fatal(err)
	}
	write(t, z, "that goes on")
	if _, err := read(packed.Bytes(), types.OCILayerZStd); err == nil {
		t.Error("a window of 256 MiB is taken")
	}
}

func encoder(t *testing.T, to io.Writer) io.WriteCloser {
	t.Helper()
	z, err := zstd.NewWriter(to)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func write(t *testing.T, to io.WriteCloser, content string) {
	t.Helper()
	if _, err := io.WriteString(to, content); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(layer []byte, form types.MediaType) (string, error) {
	r, err := layers.Decompress(bytes.NewReader(layer), form)
	if err != nil {
		return "", err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	return string(content), err
}
