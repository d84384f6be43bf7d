package buildkit

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestLayersAreReadOnTheBuildersDisk(t *testing.T) {
	layer, manifest := bytes.Repeat([]byte("layer"), holdFrom), []byte("{}")
	builder := t.TempDir()
	file := func(folder string, blob []byte) string {
		return filepath.Join(folder, "sha256", digest.FromBytes(blob).Encoded())
	}
	for _, blob := range [][]byte{layer, manifest} {
		if err := os.MkdirAll(filepath.Join(builder, "sha256"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file(builder, blob), blob, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		blobs string
		blob  []byte
		held  bool
	}{
		"a layer":            {builder, layer, true},
		"a manifest":         {builder, manifest, false},
		"a daemon's layer":   {"", layer, false},
		"a layer it has not": {t.TempDir(), layer, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			store, err := newLayoutStore(dir, c.blobs, func(v1.Hash) bool { return false }, func(err error) { t.Errorf("the layout was blamed: %v", err) })
			if err != nil {
				t.Fatal(err)
			}
			desc := ocispec.Descriptor{Digest: digest.FromBytes(c.blob), Size: int64(len(c.blob))}
			w, err := store.Writer(t.Context(), content.WithRef("ref"), content.WithDescriptor(desc))
			if held := errdefs.IsAlreadyExists(err); held != c.held {
				t.Fatalf("held = %t (%v), want %t", held, err, c.held)
			}
			if err == nil {
				if err := content.Copy(t.Context(), w, bytes.NewReader(c.blob), desc.Size, desc.Digest); err != nil {
					t.Fatal(err)
				}
			}
			blob := v1.Hash{Algorithm: "sha256", Hex: desc.Digest.Encoded()}
			own := file(builder, c.blob)
			if c.held { // whatever becomes of its name
				gone := filepath.Join(builder, "gone")
				if err := os.Rename(own, gone); err != nil {
					t.Fatal(err)
				}
				defer os.Rename(gone, own)
				own = gone
			}
			var read []byte
			err = store.read(blob, func(r io.Reader) (err error) { read, err = io.ReadAll(io.LimitReader(r, 10)); return err })
			if err != nil || !bytes.HasPrefix(c.blob, read) || len(read) == 0 {
				t.Errorf("%q, %v", read, err)
			}
			got, err := store.bytes(blob)
			if err != nil || !bytes.Equal(got, c.blob) {
				t.Errorf("%d bytes, %v, want %d", len(got), err, len(c.blob))
			}
			if sameFile(t, own, file(filepath.Join(dir, "blobs"), c.blob)) {
				t.Error("it is the builder's own file")
			}
		})
	}
}

// What is read of the builder's disk, and is not what its name says, is an error,
// however much of it was read.
func TestAChangedBlobIsRefused(t *testing.T) {
	blob, builder := bytes.Repeat([]byte("layer"), holdFrom), t.TempDir()
	name := v1.Hash{Algorithm: "sha256", Hex: digest.FromBytes(blob).Encoded()}
	blob[len(blob)-1]++
	if err := errors.Join(os.Mkdir(filepath.Join(builder, "sha256"), 0o755), os.WriteFile(filepath.Join(builder, "sha256", name.Hex), blob, 0o444)); err != nil {
		t.Fatal(err)
	}
	for what, use := range map[string]func(layoutStore) error{
		"placed": func(s layoutStore) error { return s.place(name) },
		"read":   func(s layoutStore) error { return s.read(name, func(r io.Reader) error { return nil }) },
		"read with an error": func(s layoutStore) error {
			return s.read(name, func(io.Reader) error { return errors.New("no archive") })
		},
	} {
		dir := t.TempDir()
		store, err := newLayoutStore(dir, builder, func(v1.Hash) bool { return false }, func(err error) { t.Errorf("the layout was blamed: %v", err) })
		if err != nil {
			t.Fatal(err)
		}
		desc := ocispec.Descriptor{Digest: digest.Digest(name.String()), Size: int64(len(blob))}
		if _, err := store.Writer(t.Context(), content.WithRef("ref"), content.WithDescriptor(desc)); !errdefs.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		var changed *ChangedError
		if err := use(store); !errors.As(err, &changed) || changed.Want != name {
			t.Errorf("%s: %v, want a *ChangedError", what, err)
		}
		if _, err := os.Stat(store.path(name)); err == nil {
			t.Errorf("%s: the layout has it", what)
		}
		if err := store.close(); err != nil {
			t.Error(err)
		}
	}
}

// What an earlier build made a layer of is neither sent nor copied.
func TestAKnownBlobIsNotSent(t *testing.T) {
	blob := []byte("known")
	dir := t.TempDir()
	store, err := newLayoutStore(dir, "", func(h v1.Hash) bool { return h.String() == digest.FromBytes(blob).String() }, func(err error) { t.Errorf("the layout was blamed: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	desc := ocispec.Descriptor{Digest: digest.FromBytes(blob), Size: int64(len(blob))}
	if _, err := store.Writer(t.Context(), content.WithRef("ref"), content.WithDescriptor(desc)); !errdefs.IsAlreadyExists(err) {
		t.Errorf("error %v, want that it exists already", err)
	}
}

// What an earlier build made a layer of is sent again where it may be a layer of the base,
// which stays as it is.
func TestABlobThatTheBaseMayHaveIsSent(t *testing.T) {
	plain := archived(t, 1000)
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write(plain); err != nil || zip.Close() != nil {
		t.Fatal(err)
	}
	cache, dir := t.TempDir(), t.TempDir()
	store, err := newLayoutStore(dir, "", func(v1.Hash) bool { return false }, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	f := finisher{store: store, layers: newLayerCache(formOf(CompressionGzip), cache, filepath.Join(dir, "blobs", "sha256")), epoch: time.Unix(1, 0)}
	exported := func(blob []byte, form types.MediaType) v1.Descriptor {
		d, err := f.put(blob, form)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.layer(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	tar, gz := exported(plain, types.OCIUncompressedLayer), exported(zipped.Bytes(), types.OCILayer)
	for name, c := range map[string]struct {
		blob v1.Hash
		base []digest.Digest
		want bool
	}{
		"of no base":                     {tar.Digest, nil, true},
		"of another base":                {tar.Digest, []digest.Digest{digest.FromString("other")}, true},
		"of the base":                    {tar.Digest, []digest.Digest{digest.Digest(tar.Digest.String())}, false},
		"compressed, of whatever base":   {gz.Digest, nil, false},
		"of which nothing was ever made": {v1.Hash{Algorithm: "sha256", Hex: digest.FromString("new").Encoded()}, nil, false},
	} {
		next := finisher{layers: newLayerCache(formOf(CompressionGzip), cache, filepath.Join(t.TempDir(), "blobs")), epoch: f.epoch}
		next.plan.base.RootFS.DiffIDs = c.base
		if got := next.knows(c.blob); got != c.want {
			t.Errorf("%s: known = %t, want %t", name, got, c.want)
		}
	}
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.Stat(b)
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(x, y)
}

// BenchmarkCopyNew measures what handing out a layer of 64 MB costs.
func BenchmarkCopyNew(b *testing.B) {
	dir := b.TempDir()
	file := filepath.Join(dir, "layer")
	if err := os.WriteFile(file, bytes.Repeat([]byte("layer of a base "), 4<<20), 0o444); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(64 << 20)
	for b.Loop() {
		in, err := os.Open(file)
		if err != nil {
			b.Fatal(err)
		}
		_, err = copyNew(filepath.Join(dir, "copy"), in)
		if err := errors.Join(err, in.Close(), os.Remove(filepath.Join(dir, "copy"))); err != nil {
			b.Fatal(err)
		}
	}
}
