package rootfs

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// FS is the file system that an image's layers make together.
type FS struct {
	Files    map[string]File   // by absolute path
	Packages map[string]string // "deb libc6" to its version
}

// File is what is at a path.
type File struct {
	Type byte  // as in archive/tar
	Mode int64 // permissions and the bits above them
	Link string
	Sum  [sha256.Size]byte // SHA-256 of the content

	layer int
	head  string // of a script: its first line
	needs *needs
}

// Read reads the file system of layers, the lowest first. A layer hides what is below by an entry of
// the same path, a file in the place of a folder, or a whiteout (OCI image
// specification, "Whiteouts").
func Read(ctx context.Context, layers []v1.Layer) (_ *FS, err error) {
	spool, err := os.CreateTemp("", "mrelease-*")
	if err != nil {
		return nil, fmt.Errorf("making work file: %w", err)
	}
	defer func() { err = errors.Join(err, spool.Close(), os.Remove(spool.Name())) }()
	m := merger{fs: &FS{map[string]File{}, map[string]string{}}, hidden: map[string]int{}, emptied: map[string]int{}, spool: spool}
	for i, layer := range slices.Backward(layers) {
		if err := m.add(ctx, layer, i); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return m.fs, nil
}

// merger lays layers over each other, the topmost first.
type merger struct {
	fs      *FS
	hidden  map[string]int // path -> layer whose whiteout hides it below
	emptied map[string]int // folder -> layer whose whiteout empties it below
	spool   *os.File
}

func (m *merger) add(ctx context.Context, layer v1.Layer, index int) (err error) {
	archive, err := Open(layer)
	if err != nil {
		return err
	}
	archive.spool = m.spool
	defer func() { err = errors.Join(err, archive.Close()) }()
	for {
		e, err := archive.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		m.put(e, index)
	}
}

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

func (m *merger) put(e Entry, layer int) {
	dir, base := path.Split(e.Path)
	switch {
	case base == opaque:
		m.emptied[path.Clean(dir)] = max(layer, m.emptied[path.Clean(dir)])
	case strings.HasPrefix(base, whiteout):
		name := dir + strings.TrimPrefix(base, whiteout)
		m.hidden[name] = max(layer, m.hidden[name])
	case m.isHidden(e.Path, layer):
	default:
		m.fs.Files[e.Path] = newFile(e, layer)
		maps.Copy(m.fs.Packages, e.Packages)
	}
}

// isHidden reports whether a layer above has a say about a path.
func (m *merger) isHidden(name string, layer int) bool {
	if above, ok := m.fs.Files[name]; ok && above.layer > layer || m.hidden[name] > layer {
		return true
	}
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		above, ok := m.fs.Files[dir]
		if ok && above.layer > layer && above.Type != tar.TypeDir || m.hidden[dir] > layer || m.emptied[dir] > layer {
			return true
		}
	}
	return m.emptied["/"] > layer
}

// permissions masks the type of a file, which old archives put into the mode.
const permissions = 0o7777

func newFile(e Entry, layer int) File {
	f := File{Type: e.Typeflag, Mode: e.Mode & permissions, Link: e.Linkname, Sum: e.Sum, layer: layer, needs: e.needs}
	if e.Typeflag == tar.TypeLink {
		f.Link = path.Clean("/" + e.Linkname)
	}
	if line, _, _ := strings.Cut(string(e.Head), "\n"); strings.HasPrefix(line, "#!") {
		f.head = line
	}
	return f
}
