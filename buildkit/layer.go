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
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
)

// The forms of new layers. Old engines know gzip only.
const (
	CompressionGzip = "gzip"
	CompressionZstd = "zstd"
)

// How layers are compressed. With gzip, blocks are compressed beside each other, and cut
// by their size alone; with zstd, finding matches and encoding are done beside each
// other. So the bytes do not depend on the number of processors. Another value, or
// another version of the library, makes other bytes: the digest of the manifest changes
// then, and that of the configuration does not.
const (
	gzipBlock  = 1 << 20
	gzipLevel  = gzip.DefaultCompression
	zstdLevel  = zstd.SpeedFastest
	zstdWindow = 4 << 20
)

// form is how layers are compressed.
type form struct {
	name       string // of all that decides on a layer's bytes
	media      types.MediaType
	compressor func(io.Writer) (io.WriteCloser, error)
}

func formOf(compression string) form {
	if compression == CompressionZstd {
		return form{"zstd-1", types.OCILayerZStd, newZstd}
	}
	return form{"gzip-1", types.OCILayer, newGzip}
}

func newGzip(to io.Writer) (io.WriteCloser, error) {
	zip, err := pgzip.NewWriterLevel(to, gzipLevel)
	if err == nil {
		err = zip.SetConcurrency(gzipBlock, 4) // the bytes do not depend on the second
	}
	return zip, err
}

func newZstd(to io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(to, zstd.WithEncoderLevel(zstdLevel), zstd.WithWindowSize(zstdWindow), zstd.WithEncoderConcurrency(2))
}

// layer is a layer in the form in which images hold it.
type layer struct {
	Digest v1.Hash `json:"digest"`
	DiffID v1.Hash `json:"diff-id"`
	Size   int64   `json:"size"` // bytes, compressed
}

// write writes a layer, with one time for all its entries: a layer is a function of its
// content, not of when it was made.
func (f form) write(ctx context.Context, out io.Writer, in io.Reader, epoch time.Time) (made layer, err error) {
	compressed := &sum{Writer: out, hash: sha256.New()}
	zip, err := f.compressor(compressed)
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
	buffer := make([]byte, copyBuffer) // for all files
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
		if _, err := io.CopyBuffer(out, in, buffer); err != nil {
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
