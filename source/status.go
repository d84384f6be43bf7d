package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// dirtyFiles returns the files of a folder in the work tree that are not as in
// the commit, sorted, by their paths in the repository. The status that go-git
// makes reads the whole work tree, with all that is ignored: seconds, where only
// the build's context matters.
func dirtyFiles(repo *git.Repository, c *object.Commit, dir string) ([]string, error) {
	tree, err := repo.Worktree()
	if errors.Is(err, git.ErrIsBareRepository) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening work tree: %w", err)
	}
	s := status{root: tree.Filesystem.Root(), unseen: map[string]object.TreeEntry{}, parents: map[string]bool{}}
	folder, err := below(s.root, dir)
	if err != nil {
		return nil, err
	}
	if err := s.readCommitted(c, folder); err != nil {
		return nil, err
	}
	if err := s.compare(folder); err != nil {
		return nil, fmt.Errorf("comparing work tree with commit: %w", err)
	}
	for file, entry := range s.unseen {
		if entry.Mode != filemode.Submodule { // one that is not checked out is no change
			s.dirty = append(s.dirty, file)
		}
	}
	slices.Sort(s.dirty)
	return s.dirty, nil
}

// status compares files with those of a commit. Paths are slash-separated and
// relative to root.
type status struct {
	root    string
	unseen  map[string]object.TreeEntry // committed files that were not met yet
	parents map[string]bool             // folders with committed files
	ignored []gitignore.Pattern
	dirty   []string
}

func (s *status) readCommitted(c *object.Commit, folder string) error {
	tree, err := c.Tree()
	if err == nil && folder != "." {
		tree, err = tree.Tree(folder)
	}
	if errors.Is(err, object.ErrDirectoryNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading commit %s: %w", c.Hash, err)
	}
	s.parents[folder] = true
	walker := object.NewTreeWalker(tree, true, nil)
	defer walker.Close()
	for {
		name, entry, err := walker.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading commit %s: %w", c.Hash, err)
		}
		name = path.Join(folder, name)
		if entry.Mode == filemode.Dir {
			s.parents[name] = true
		} else {
			s.unseen[name] = entry
		}
	}
}

// compare walks the files below a folder.
func (s *status) compare(folder string) error {
	// What is ignored is also said by the folders above, the topmost first.
	s.readIgnored(".git/info/exclude", nil)
	for i := range len(folder) {
		if folder[i] == '/' {
			s.readIgnoreFile(folder[:i])
		}
	}
	if folder != "." {
		s.readIgnoreFile(".")
	}
	return filepath.WalkDir(filepath.Join(s.root, folder), func(file string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // gone meanwhile, or a context that is missing
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.root, file)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if entry.IsDir() {
			return s.enter(name)
		}
		return s.look(name, entry)
	})
}

// enter decides whether to go into a folder.
func (s *status) enter(name string) error {
	if committed, ok := s.unseen[name]; ok && committed.Mode == filemode.Submodule {
		return fs.SkipDir // its files are another repository's
	}
	if path.Base(name) == git.GitDirName || name != "." && !s.parents[name] && s.isIgnored(name, true) {
		return fs.SkipDir
	}
	s.readIgnoreFile(name)
	return nil
}

// look compares one file.
func (s *status) look(name string, entry fs.DirEntry) error {
	committed, tracked := s.unseen[name]
	delete(s.unseen, name)
	if !tracked {
		if path.Base(name) != git.GitDirName && !s.isIgnored(name, false) { // a submodule's .git is a file
			s.dirty = append(s.dirty, name)
		}
		return nil
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	hash, err := blobHash(filepath.Join(s.root, name), info)
	if err != nil {
		return err
	}
	mode, err := filemode.NewFromOSFileMode(info.Mode())
	if err != nil || hash != committed.Hash || !sameMode(mode, committed.Mode) {
		s.dirty = append(s.dirty, name)
	}
	return nil
}

// sameMode takes the mode that git wrote long ago for a regular file.
func sameMode(a, b filemode.FileMode) bool {
	return a == b || a == filemode.Regular && b == filemode.Deprecated
}

// blobHash is git's object name of a file's content, or of a link's target.
func blobHash(file string, info fs.FileInfo) (plumbing.Hash, error) {
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(file)
		return plumbing.ComputeHash(plumbing.BlobObject, []byte(filepath.ToSlash(target))), err
	}
	if !info.Mode().IsRegular() {
		return plumbing.ZeroHash, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	h := plumbing.NewHasher(plumbing.BlobObject, info.Size())
	_, err = io.Copy(h, f)
	return h.Sum(), errors.Join(err, f.Close())
}

func (s *status) isIgnored(name string, isDir bool) bool {
	return gitignore.NewMatcher(s.ignored).Match(strings.Split(name, "/"), isDir)
}

func (s *status) readIgnoreFile(folder string) {
	var domain []string
	if folder != "." {
		domain = strings.Split(folder, "/")
	}
	s.readIgnored(path.Join(folder, ".gitignore"), domain)
}

// readIgnored takes the patterns of a file. As in git, one that cannot be read
// ignores nothing.
func (s *status) readIgnored(file string, domain []string) {
	data, err := os.ReadFile(filepath.Join(s.root, file))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			s.ignored = append(s.ignored, gitignore.ParsePattern(line, domain))
		}
	}
}

// below returns dir relative to root, with links resolved on both sides.
func below(root, dir string) (string, error) {
	realRoot, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", fmt.Errorf("resolving work tree: %w", err)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("resolving %s: %w", dir, err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("resolving %s: %w", dir, err)
	}
	rel, err := filepath.Rel(realRoot, abs)
	return filepath.ToSlash(rel), err
}
