package steps

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/layers"
)

// fetchLayer fetches a layer, which must have the digest that it is named by and the content
// that it is said to have: a builder knows layers by what is said of their content, and does
// not look.
func fetchLayer(ctx context.Context, from v1.Image, d v1.Descriptor, content v1.Hash, blobs string) error {
	layer, err := from.LayerByDigest(d.Digest)
	if err != nil {
		return err
	}
	stream, err := layer.Compressed() // which fails at its end if it has another digest or size
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(blobs, d.Digest.Hex), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return errors.Join(fmt.Errorf("writing steps: %w", err), stream.Close())
	}
	compressed := io.TeeReader(untilDone{ctx, stream}, file)
	got, err := contentOf(compressed, d.MediaType)
	if _, rest := io.Copy(io.Discard, compressed); rest != nil { // of which a tar may not have read all
		err = rest
	}
	err = errors.Join(err, file.Close(), stream.Close())
	switch {
	case err != nil:
		return corruptUnlessAnswered(fmt.Errorf("reading layer %s: %w", d.Digest, err))
	case got != content:
		return &Error{Kind: Corrupt, Err: fmt.Errorf("layer %s has the content %s, and is said to have %s", d.Digest, got, content)}
	}
	return nil
}

// untilDone reads until a context ends.
type untilDone struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}

// contentOf hashes a layer without its compression, which must be an archive.
func contentOf(compressed io.Reader, form types.MediaType) (v1.Hash, error) {
	plain, err := layers.Decompress(compressed, form)
	if err != nil {
		return v1.Hash{}, err
	}
	defer plain.Close()
	hash := sha256.New()
	content := io.TeeReader(&bounded{plain, bounds.StepContent}, hash)
	archive := tar.NewReader(content)
	for err == nil {
		_, err = archive.Next()
	}
	if err == io.EOF {
		_, err = io.Copy(io.Discard, content)
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(hash.Sum(nil))}, err
}

// bounded fails beyond a number of bytes.
type bounded struct {
	io.Reader
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, &bounds.Error{What: "the content of a layer", Most: bounds.Bytes(bounds.StepContent), Got: "more"}
	}
	return n, err
}
