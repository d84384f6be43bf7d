package buildkit

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// Look shows the files of images: as a process in a container of each finds them, its
// links followed within the image. The files can be read at any place. They are there
// until look returns, whose error Look returns.
func (b *Builder) Look(ctx context.Context, images []v1.Image, look func(roots []fs.FS) error) error {
	scratch, err := os.MkdirTemp(b.scratch, "look-*")
	if err != nil {
		return fmt.Errorf("making work folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	stores := map[string]content.Store{}
	for i, image := range images {
		if stores[storeOf(i)], err = newLazyStore(filepath.Join(scratch, storeOf(i)), imageBlobs(image)); err != nil {
			return err
		}
	}
	var looked error
	_, err = b.client.Build(ctx, client.SolveOpt{OCIStores: stores}, "", func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
		var roots []fs.FS
		for i, image := range images {
			ref, err := mount(ctx, c, image, storeOf(i))
			if err != nil {
				return nil, err
			}
			roots = append(roots, rootFS{ctx, ref})
		}
		looked = look(roots)
		return gateway.NewResult(), nil
	}, nil)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("looking into image: %w", ctx.Err())
	case looked != nil:
		return looked
	case err != nil:
		return fmt.Errorf("looking into image: %w", err)
	}
	return nil
}

func storeOf(i int) string { return fmt.Sprintf("%s%d", imageStore, i) }

// rootFS is a file system that the builder reads. It has its context since package fs
// has none.
type rootFS struct {
	ctx context.Context
	ref gateway.Reference
}

// Open implements fs.FS.
func (r rootFS) Open(name string) (fs.File, error) {
	info, err := r.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	f := &rootFile{root: r, info: info.(fileInfo)}
	f.SectionReader = io.NewSectionReader(fullReaderAt(f.readAt), 0, info.Size())
	return f, nil
}

// Stat implements fs.StatFS.
func (r rootFS) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	stat, err := r.ref.StatFile(r.ctx, gateway.StatRequest{Path: "/" + name})
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: kindOf(err)}
	}
	return fileInfo{name, stat}, nil
}

// kindOf tells a file that is not there, or is behind something that is no folder, and
// links in a circle, by the text: as an error of gRPC it has lost its kind.
func kindOf(err error) error {
	for text, kind := range map[string]error{
		"no such file or directory": fs.ErrNotExist, "not a directory": fs.ErrNotExist,
		"too many links": fs.ErrInvalid, "too many levels of symbolic links": fs.ErrInvalid,
	} {
		if strings.HasSuffix(err.Error(), text) {
			return kind
		}
	}
	return err
}

// rootFile is an open file. What parses it reads some bytes here and there, and each
// request to the builder takes as long as many bytes: so whole blocks are read, and the
// last ones kept.
type rootFile struct {
	root rootFS
	info fileInfo
	*io.SectionReader
	kept [4]block // the last first
}

// block is a part of a file, blockSize long but for the last one.
type block struct {
	index int64
	data  []byte // nil: none
}

const blockSize = 1 << 20

// readAt reads no further than the end of a block.
func (f *rootFile) readAt(p []byte, offset int64) (int, error) {
	data, err := f.block(offset / blockSize)
	if err != nil {
		return 0, err
	}
	if offset %= blockSize; offset >= int64(len(data)) {
		return 0, io.EOF
	}
	return copy(p, data[offset:]), nil
}

func (f *rootFile) block(index int64) ([]byte, error) {
	for _, b := range f.kept {
		if b.data != nil && b.index == index {
			return b.data, nil
		}
	}
	data, err := f.root.ref.ReadFile(f.root.ctx, gateway.ReadRequest{Filename: "/" + f.info.name, Range: &gateway.FileRange{Offset: int(index * blockSize), Length: blockSize}})
	if err != nil {
		return nil, err
	}
	copy(f.kept[1:], f.kept[:])
	f.kept[0] = block{index, data}
	return data, nil
}

// fullReaderAt reads until there is no more, as io.ReaderAt wants.
type fullReaderAt func(p []byte, offset int64) (int, error)

// ReadAt implements io.ReaderAt.
func (r fullReaderAt) ReadAt(p []byte, offset int64) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = r(p[n:], offset+int64(n))
		n += more
	}
	return n, err
}

// Stat implements fs.File.
func (f *rootFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// Close implements fs.File.
func (f *rootFile) Close() error { return nil }

// fileInfo is what the builder says of a file.
type fileInfo struct {
	name string
	stat *fstypes.Stat
}

// Name implements fs.FileInfo, as the methods below.
func (i fileInfo) Name() string       { return path.Base(i.name) }
func (i fileInfo) Size() int64        { return i.stat.Size }
func (i fileInfo) Mode() fs.FileMode  { return fs.FileMode(i.stat.Mode) }
func (i fileInfo) ModTime() time.Time { return time.Unix(0, i.stat.ModTime) }
func (i fileInfo) IsDir() bool        { return i.Mode().IsDir() }
func (i fileInfo) Sys() any           { return i.stat }
