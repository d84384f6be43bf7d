package buildkit

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
)

// How layers are compressed. The blocks are compressed beside each other, and cut
// by their size alone, so the bytes do not depend on the number of processors.
// Another value, or another version of the library, makes other bytes: the digest
// of the manifest changes then, and that of the configuration does not.
const (
	gzipBlock = 1 << 20
	gzipLevel = gzip.DefaultCompression
	// layerForm names all that decides on a layer's bytes.
	layerForm = "gzip-1"
)

// layer is a layer in the form in which images hold it.
type layer struct {
	Digest v1.Hash `json:"digest"`
	DiffID v1.Hash `json:"diff-id"`
	Size   int64   `json:"size"` // bytes, compressed
}

// writeLayer writes a layer, with one time for all its entries: a layer is a function
// of its content, not of when it was made.
func writeLayer(ctx context.Context, out io.Writer, in io.Reader, epoch time.Time) (made layer, err error) {
	compressed := &sum{Writer: out, hash: sha256.New()}
	zip, err := pgzip.NewWriterLevel(compressed, gzipLevel)
	if err == nil {
		err = zip.SetConcurrency(gzipBlock, 4) // the bytes do not depend on the second
	}
	if err != nil {
		return layer{}, fmt.Errorf("compressing layer: %w", err)
	}
	plain := &sum{Writer: zip, hash: sha256.New()}
	err = setTimes(ctx, plain, in, epoch)
	if err = errors.Join(err, zip.Close()); err != nil {
		return layer{}, fmt.Errorf("writing layer: %w", err)
	}
	return layer{Digest: compressed.digest(), DiffID: plain.digest(), Size: compressed.size}, nil
}

// setTimes copies an archive with another time for all its entries.
func setTimes(ctx context.Context, to io.Writer, from io.Reader, epoch time.Time) error {
	in, out := tar.NewReader(from), tar.NewWriter(to)
	for {
		header, err := in.Next()
		if err == io.EOF {
			return out.Close()
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		header.ModTime, header.AccessTime, header.ChangeTime = epoch, time.Time{}, time.Time{}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}

// sum counts and hashes what is written.
type sum struct {
	io.Writer
	hash hash.Hash
	size int64
}

// Write implements io.Writer.
func (s *sum) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	s.hash.Write(p[:n])
	s.size += int64(n)
	return n, err
}

func (s *sum) digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(s.hash.Sum(nil))}
}

// decompress opens a layer of any of the forms that builders keep.
func decompress(blob io.Reader, form types.MediaType) (io.ReadCloser, error) {
	switch {
	case strings.HasSuffix(string(form), "gzip"):
		return gzip.NewReader(blob)
	case strings.HasSuffix(string(form), "zstd"):
		z, err := zstd.NewReader(blob)
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case strings.HasSuffix(string(form), "tar"):
		return io.NopCloser(blob), nil
	}
	return nil, fmt.Errorf("unknown form of layer %q", form)
}
