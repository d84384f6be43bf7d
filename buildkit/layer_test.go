package buildkit

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/mrelease/mrelease/internal/layers"
)

// archived is an archive whose content is that of a seed, in part compressible.
func archived(t *testing.T, size int) []byte {
	t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	content := make([]byte, size)
	random.Read(content[:size/2])
	for i := size / 2; i < size; {
		i += copy(content[i:], fmt.Sprintf("the number %d and ", random.Uint64()%1000))
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(size)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The digests are those of the pinned libraries: with another version of one, or another
// setting, every image that is built again has another manifest. That is for the change
// log.
func TestALayersBytesAreAlwaysTheSame(t *testing.T) {
	plain := archived(t, 9<<20+1)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for compression, want := range map[string]string{
		CompressionGzip: "sha256:2cbffd6b14160c8f457882a539ca7727480edc01f473a8770b1746159bbff2f5",
		CompressionZstd: "sha256:a5baa0a43d0664b2d809a3019bc3eb11f6304164751a235e6b7203cc96fd3978",
	} {
		for _, processors := range []int{1, 2, 5} {
			runtime.GOMAXPROCS(processors)
			var out bytes.Buffer
			f := formOf(compression)
			made, err := f.write(t.Context(), &out, bytes.NewReader(plain), time.Unix(1, 0))
			if err != nil {
				t.Fatal(err)
			}
			if made.Digest.String() != want || made.Size != int64(out.Len()) {
				t.Errorf("%s, %d processors: digest %s, %d of %d bytes, want %s", compression, processors, made.Digest, made.Size, out.Len(), want)
			}
			back, err := layers.Decompress(&out, f.media)
			if err != nil {
				t.Fatal(err)
			}
			read, err := io.ReadAll(back)
			if err != nil || len(read) != len(plain) {
				t.Errorf("%s: %d bytes come back (%v), want %d", compression, len(read), err, len(plain))
			}
		}
	}
}
