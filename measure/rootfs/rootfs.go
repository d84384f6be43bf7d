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
	Sum  [sha256.Size]byte // SHA-256 of the content; of a hard link, that of nothing

	inode *File  // of a hard link: the file itself
	head  string // of a script: its first line
	needs *needs
}

// content returns the file that a hard link is another name of, or the file.
func (f *File) content() *File {
	if f.inode != nil {
		return f.inode
	}
	return f
}

// Read reads the file system of layers, the lowest first. A layer hides what is below by an entry of
// the same path, a file in the place of a folder, or a whiteout (OCI image
// specification, "Whiteouts").
//
// A layer that cannot be extracted is a [*LayerError].
func Read(ctx context.Context, layers []v1.Layer) (_ *FS, err error) {
	spool, err := os.CreateTemp("", "mrelease-*")
	if err != nil {
		return nil, fmt.Errorf("making work file: %w", err)
	}
	defer func() { err = errors.Join(err, spool.Close(), os.Remove(spool.Name())) }()
	var roots []*node
	for i, layer := range layers {
		t, err := readTree(ctx, layer, i == 0, spool)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		roots = append([]*node{t.root}, roots...)
	}
	f := &FS{map[string]File{}, map[string]string{}}
	f.merge("/", roots)
	return f, nil
}

// readTree reads a layer with all its content.
func readTree(ctx context.Context, layer v1.Layer, isLowest bool, spool *os.File) (_ *tree, err error) {
	archive, err := Open(layer)
	if err != nil {
		return nil, err
	}
	archive.spool = spool
	defer func() { err = errors.Join(err, archive.Close()) }()
	t := newTree(isLowest)
	for {
		e, err := archive.Next(ctx)
		if err == io.EOF {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		if err := t.add(e.Header, newFile(e), e.Packages); err != nil {
			return nil, err
		}
	}
}

// merge adds what is in a folder, which the given nodes are in the layers that have
// it, the topmost first.
func (f *FS) merge(at string, folders []*node) {
	names := map[string]bool{}
	for _, folder := range folders {
		for name := range folder.children {
			names[name] = true
		}
	}
	for name := range names {
		f.add(path.Join(at, name), seen(name, folders), described(name, folders))
	}
}

// add adds what is at a path.
func (f *FS) add(at string, found []*node, file *File) {
	if len(found) == 0 {
		return
	}
	if file != nil {
		f.Files[at] = *file
	}
	maps.Copy(f.Packages, found[0].packages)
	if found[0].isDir() {
		f.merge(at, found)
	}
}

// seen returns what an overlay shows of a name in a folder: a file of the topmost
// layer that has it, or the folders that are one together.
func seen(name string, folders []*node) (found []*node) {
	for _, folder := range folders {
		n := folder.children[name]
		switch {
		case n == nil:
			continue
		case n.whiteout:
			return found
		case !n.isDir() && len(found) == 0:
			return []*node{n}
		case !n.isDir():
			return found
		}
		if found = append(found, n); n.opaque {
			return found
		}
	}
	return found
}

// described returns the topmost entry for a name: a folder that a layer has no entry
// for has the mode of the one below.
func described(name string, folders []*node) *File {
	above := false
	for _, folder := range folders {
		n := folder.children[name]
		switch {
		case n == nil:
			continue
		case n.whiteout || above && !n.isDir():
			return nil
		case n.file != nil:
			return n.file
		}
		above = true
	}
	return nil
}

// permissions masks the type of a file, which old archives put into the mode.
const permissions = 0o7777

func newFile(e Entry) *File {
	f := &File{Type: e.Typeflag, Mode: e.Mode & permissions, Link: e.Linkname, Sum: e.Sum, needs: e.needs}
	if e.Typeflag == tar.TypeLink {
		f.Link = path.Clean("/" + e.Linkname)
	}
	if line, _, _ := strings.Cut(string(e.Head), "\n"); strings.HasPrefix(line, "#!") {
		f.head = line
	}
	return f
}
