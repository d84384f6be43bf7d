package buildkit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// normalFS is a folder in normal form: what a checkout, its umask, its user and
// its clock decide is replaced by constants.
//
//   - modification time: FixedEpoch, whatever the epoch of the build; what is sent of a
//     file has the time that follows from its content (see marks)
//   - mode: 0755 for folders and for files the owner may execute, else 0644; on
//     Windows no file says that, and all have 0644
//   - owner and group: 0
//   - extended attributes: none
//   - hard links: separate files
//   - sockets, pipes and devices: left out
type normalFS struct {
	fsutil.FS
	root string
}

func newNormalFS(root string) (*normalFS, error) {
	inner, err := fsutil.NewFS(root)
	if err != nil {
		return nil, fmt.Errorf("opening folder %q: %w", root, err)
	}
	return &normalFS{FS: inner, root: root}, nil
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
		// Not wrapped: fsutil takes a missing file for the end of its folder.
		return nil, fmt.Errorf("reading %q: %v", e.Name(), err)
	}
	stat, ok := info.Sys().(*types.Stat)
	if !ok {
		return nil, fmt.Errorf("reading %q: file information of type %T", e.Name(), info.Sys())
	}
	if err := e.fs.normalise(stat); err != nil {
		return nil, fmt.Errorf("reading %q: %v", e.Name(), err)
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
	if runtime.GOOS == "windows" && mode.IsRegular() { // where fsutil has every file executable, as no file tells
		mode &^= 0o111
	}
	stat.Mode = uint32(normalMode(mode))
	stat.ModTime = modTime()
	stat.Uid, stat.Gid = 0, 0
	stat.Xattrs = nil
	return nil
}

// file is a regular file of the folder, whatever is there now.
func (n *normalFS) file(path string, content []byte) entry {
	sum := sha256.Sum256(content)
	stat := &types.Stat{Path: path, Mode: uint32(normalMode(0)), Size: int64(len(content)), ModTime: modTime()}
	return entry{"file", hex.EncodeToString(sum[:]), stat}
}

// modTime is the time of a context's files in nanoseconds, as fsutil wants it.
func modTime() int64 { return FixedEpoch().UnixNano() }

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

// treeFS is a folder as it was when it was read: what appeared since then is
// not sent, and a file that changed or vanished ends the build.
//
// This is more than tidiness. A builder keeps the files of earlier builds and asks for
// those whose mark changed; so what is sent under a mark must be what it stands for.
type treeFS struct {
	*normalFS
	marks   marks
	entries map[string]entry
	paths   []string // of the entries, in the order of a walk
	// refuse ends the build. An error alone would not: fsutil sends an empty
	// file for one that it cannot open, and waits for ever after one that it
	// cannot read to the end.
	refuse func(error)
}

// sent is a tree as it may be sent.
func (in inputs) sent(t tree) fsutil.FS {
	return treeFS{t.fs, in.marks, t.entries, slices.SortedFunc(maps.Keys(t.entries), fsutil.ComparePath), in.refuse}
}

// Walk implements fsutil.FS.
func (t treeFS) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	target, skipped := clean(target), ""
	for _, path := range t.paths {
		if !within(path, target) || skipped != "" && within(path, skipped) {
			continue
		}
		found := &fsutil.DirEntryInfo{Stat: t.marks.mark(t.entries[path])}
		switch err := fn(path, found, nil); {
		case err == fs.SkipDir && found.IsDir():
			skipped = path
		case err == fs.SkipDir:
			skipped = filepath.ToSlash(filepath.Dir(path))
		case err != nil:
			return err
		}
	}
	return ctx.Err()
}

// clean is a path as the entries of a tree have it.
func clean(path string) string { return filepath.ToSlash(filepath.Join(".", path)) }

// within reports whether path is folder or lies below it; "." is the root.
func within(path, folder string) bool {
	return folder == "." || path == folder || strings.HasPrefix(path, folder+"/")
}

// Open implements fsutil.FS.
func (t treeFS) Open(path string) (io.ReadCloser, error) {
	file, err := t.normalFS.Open(path)
	if err != nil {
		t.refuse(fmt.Errorf("sending %q: %w", path, err))
		return nil, err
	}
	path = clean(path)
	return &treeFile{ReadCloser: file, hash: sha256.New(), path: path, want: t.entries[path].value, refuse: t.refuse}, nil
}

// treeFile reports a wrong hash in place of the end of the file.
type treeFile struct {
	io.ReadCloser
	hash   hash.Hash
	path   string
	want   string
	refuse func(error)
}

// Read implements io.Reader.
func (f *treeFile) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	f.hash.Write(p[:n])
	if err == io.EOF && hex.EncodeToString(f.hash.Sum(nil)) != f.want {
		err = errors.New("the file changed during the build")
	}
	if err != nil && err != io.EOF {
		f.refuse(fmt.Errorf("sending %q: %w", f.path, err))
	}
	return n, err
}
