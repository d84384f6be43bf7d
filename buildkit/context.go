package buildkit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// normalFS is a folder in normal form: what a checkout, its umask, its user and
// its clock decide is replaced by constants.
//
//   - modification time: the epoch. SOURCE_DATE_EPOCH alone would not do, it
//     only lowers later times.
//   - mode: 0755 for folders and for files the owner may execute, else 0644
//   - owner and group: 0
//   - extended attributes: none
//   - hard links: separate files
//   - sockets, pipes and devices: left out
type normalFS struct {
	fsutil.FS
	root  string
	epoch time.Time
}

func newNormalFS(root string, epoch time.Time) (*normalFS, error) {
	inner, err := fsutil.NewFS(root)
	if err != nil {
		return nil, fmt.Errorf("opening folder %q: %w", root, err)
	}
	return &normalFS{FS: inner, root: root, epoch: epoch}, nil
}

// Walk implements fsutil.FS.
func (n *normalFS) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	return n.FS.Walk(ctx, target, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry == nil {
			return fn(path, entry, err)
		}
		if t := entry.Type(); !t.IsRegular() && !t.IsDir() && t != fs.ModeSymlink {
			return nil
		}
		return fn(path, normalEntry{DirEntry: entry, fs: n}, nil)
	})
}

// normalEntry normalises when asked, so that files which .dockerignore leaves
// out are never looked at.
type normalEntry struct {
	fs.DirEntry
	fs *normalFS
}

// Info implements fs.DirEntry; its Sys is a *types.Stat, as fsutil requires.
func (e normalEntry) Info() (fs.FileInfo, error) {
	info, err := e.DirEntry.Info()
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*types.Stat)
	if !ok {
		return nil, fmt.Errorf("reading %q: file information of type %T", e.Name(), info.Sys())
	}
	if err := e.fs.normalise(stat); err != nil {
		return nil, err
	}
	return &fsutil.StatInfo{Stat: stat}, nil
}

func (n *normalFS) normalise(stat *types.Stat) error {
	mode := fs.FileMode(stat.Mode)
	if mode.IsRegular() && stat.Linkname != "" {
		// fsutil reports the second name of a file as an empty link.
		info, err := os.Lstat(filepath.Join(n.root, stat.Path))
		if err != nil {
			return err
		}
		stat.Linkname, stat.Size = "", info.Size()
	}
	stat.Mode = uint32(normalMode(mode))
	stat.ModTime = n.epoch.Unix() * int64(time.Second)
	stat.Uid, stat.Gid = 0, 0
	stat.Xattrs = nil
	return nil
}

func normalMode(mode fs.FileMode) fs.FileMode {
	switch {
	case mode.Type() == fs.ModeSymlink:
		return fs.ModeSymlink | 0o777
	case mode.IsDir():
		return fs.ModeDir | 0o755
	case mode&0o100 != 0:
		return 0o755
	default:
		return 0o644
	}
}

// checkedFS is a folder of which only known content may be sent.
//
// The builder keeps the files of earlier builds and asks only for those whose
// size or time changed. All times here are the epoch, so it must never look
// for them under a key that other content was sent under. The key is the
// sources digest, and this type makes it true: a file that changed after it
// was hashed fails the build.
type checkedFS struct {
	*normalFS
	sums map[string]string // SHA-256 in hex, by slash-separated path
	free string            // a path that may have any content
}

// checked makes a tree's folder one of which only the tree may be sent. The
// ignore file itself is always asked for anew, and may be outside of the tree.
func (t tree) checked() fsutil.FS {
	sums := make(map[string]string, len(t.entries))
	for path, entry := range t.entries {
		sums[path] = entry.value
	}
	return checkedFS{normalFS: t.fs, sums: sums, free: ".dockerignore"}
}

// dockerfileFS is the Dockerfile's folder, of which only the Dockerfile as it
// was read, and its ignore file, may be sent.
func (s Source) dockerfileFS(in inputs) (fsutil.FS, error) {
	folder, file := filepath.Split(s.path())
	normal, err := newNormalFS(filepath.Clean(folder), s.Epoch)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(in.dockerfile)
	sums := map[string]string{file: hex.EncodeToString(sum[:])}
	return checkedFS{normalFS: normal, sums: sums, free: file + ".dockerignore"}, nil
}

// Open implements fsutil.FS.
func (c checkedFS) Open(path string) (io.ReadCloser, error) {
	file, err := c.normalFS.Open(path)
	if err != nil {
		return nil, err
	}
	path = filepath.ToSlash(filepath.Clean(path))
	want, known := c.sums[path]
	if !known && path == c.free {
		return file, nil
	}
	return &checkedFile{ReadCloser: file, hash: sha256.New(), path: path, want: want}, nil
}

// checkedFile reports a wrong hash in place of the end of the file.
type checkedFile struct {
	io.ReadCloser
	hash hash.Hash
	path string
	want string
}

// Read implements io.Reader.
func (f *checkedFile) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	f.hash.Write(p[:n])
	if err == io.EOF && hex.EncodeToString(f.hash.Sum(nil)) != f.want {
		return n, fmt.Errorf("sending %q: the file changed during the build", f.path)
	}
	return n, err
}
