package rootfs

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/internal/layers"
)

const (
	// headSize is how much of a file's content is kept: enough for the first
	// line of a script and the header of compiled Python.
	headSize = 128
	// maxFile bounds a file, because a sparse entry of a few bytes can claim any
	// size and would be read for ever.
	maxFile = 1 << 40
	// bufferSize is how much is hashed at a time.
	bufferSize = 256 << 10
)

// Entry is an entry of a layer, with a digest in place of its content.
type Entry struct {
	*tar.Header
	Path     string            // absolute and clean
	Sum      [sha256.Size]byte // SHA-256 of the content
	Head     []byte            // the content's first bytes
	Packages map[string]string // what a package database lists: "deb libc6" to its version
	needs    *needs            // of a program or library, when the archive looks for them
}

// Archive is a layer that is read entry by entry.
type Archive struct {
	stream io.ReadCloser
	files  *tar.Reader
	buffer []byte
	spool  *os.File // where programs are put to be looked into; nil: they are not
}

// Open opens a layer, which the caller closes.
func Open(layer v1.Layer) (*Archive, error) {
	stream, err := layers.Uncompressed(layer)
	if err != nil {
		return nil, fmt.Errorf("opening layer: %w", err)
	}
	return &Archive{stream: stream, files: tar.NewReader(stream), buffer: make([]byte, bufferSize)}, nil
}

// Close ends the reading.
func (a *Archive) Close() error { return a.stream.Close() }

// Next returns the next entry, its content read to the end, or io.EOF after the
// last one. The layer is then read to its own end, where a registry's client
// compares it with its digest.
func (a *Archive) Next(ctx context.Context) (Entry, error) {
	h, err := a.files.Next()
	if err == io.EOF {
		if err := a.copy(ctx, io.Discard, a.stream); err != nil {
			return Entry{}, fmt.Errorf("reading end of layer: %w", err)
		}
		return Entry{}, io.EOF
	}
	if errors.Is(err, tar.ErrHeader) {
		return Entry{}, &LayerError{"", "it is no archive: " + err.Error()}
	}
	if err != nil {
		return Entry{}, fmt.Errorf("reading layer: %w", err)
	}
	e := Entry{Header: h, Path: path.Clean("/" + h.Name)}
	if h.Size > maxFile {
		return e, fmt.Errorf("reading %q: %d bytes are more than an image can have", e.Path, h.Size)
	}
	if err := a.read(ctx, &e); err != nil {
		return e, fmt.Errorf("reading %q: %w", e.Path, err)
	}
	return e, nil
}

// read hashes the content and shows it to whoever looks into such files.
func (a *Archive) read(ctx context.Context, e *Entry) error {
	sum := sha256.New()
	head := &prefix{limit: headSize}
	to := []io.Writer{sum, head}
	db := newDatabase(e.Path)
	if db != nil {
		to = append(to, db)
	}
	program := &spooled{file: a.spool}
	if a.spool != nil && e.Typeflag == tar.TypeReg {
		to = append(to, program)
	}
	if err := a.copy(ctx, io.MultiWriter(to...), a.files); err != nil {
		return err
	}
	sum.Sum(e.Sum[:0])
	e.Head = head.bytes
	if db != nil {
		e.Packages = db.close()
	}
	e.needs = program.needs()
	return nil
}

// copy is io.Copy that ends with ctx.
func (a *Archive) copy(ctx context.Context, to io.Writer, from io.Reader) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := from.Read(a.buffer)
		if _, err := to.Write(a.buffer[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// prefix keeps the first bytes that are written to it.
type prefix struct {
	bytes []byte
	limit int
}

// Write implements io.Writer.
func (p *prefix) Write(b []byte) (int, error) {
	if room := p.limit - len(p.bytes); room > 0 {
		p.bytes = append(p.bytes, b[:min(room, len(b))]...)
	}
	return len(b), nil
}
