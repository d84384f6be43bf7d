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

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/source/gitignore"
)

// readPlain reads a repository without git's program. It reads only what it is sure
// of: anything else is a [*GitError] that names it.
func (o Options) readPlain(root string, sight buildkit.Sight) (Commit, error) {
	if err := checkFiles(root); err != nil {
		return Commit{}, err
	}
	folder := filepath.Join(root, ".git")
	if info, err := os.Lstat(folder); err != nil || !info.IsDir() {
		return Commit{}, needsGit(root, ".git is no folder, but leads to another repository")
	}
	repo := filesystem.NewStorage(osfs.New(folder), cache.NewObjectLRUDefault())
	s := plainStatus{options: o, root: root, sight: sight, unseen: map[string]object.TreeEntry{}, committed: map[string]bool{}, parents: map[string]bool{}}
	found, err := s.read(repo, folder)
	var known *GitError
	if err != nil && !errors.As(err, &known) {
		err = needsGit(root, err.Error())
	}
	return found, err
}

func (s *plainStatus) read(repo *filesystem.Storage, folder string) (found Commit, err error) {
	if s.config, err = repo.Config(); err != nil {
		return found, fmt.Errorf("reading configuration: %w", err)
	}
	if err := errors.Join(s.checkPlain(folder), s.readUserConfig()); err != nil {
		return found, err
	}
	found.Root = s.root
	head, err := storer.ResolveReference(repo, plumbing.HEAD)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return found, nil
	}
	if err != nil {
		return found, fmt.Errorf("reading HEAD: %w", err)
	}
	c, err := object.GetCommit(repo, head.Hash())
	if err != nil {
		return found, fmt.Errorf("reading commit %s: %w", head.Hash(), err)
	}
	found.Hash, found.Time = c.Hash.String(), c.Committer.When.UTC()
	if found.Tags, err = tagsAt(repo, c.Hash); err != nil {
		return found, err
	}
	found.Dirty, err = s.differences(c)
	return found, err
}

func needsGit(where, problem string) error {
	return &GitError{Where: where, Problem: problem + " (there is no git program in PATH, and plain repositories alone are read without)", Cure: "install git"}
}

// checkPlain refuses by name what this code cannot read.
func (s *plainStatus) checkPlain(folder string) error {
	for _, option := range s.config.Raw.Section("extensions").Options {
		if !strings.EqualFold(option.Key, "objectformat") || option.Value != "sha1" {
			return fmt.Errorf("the repository has the extension %s", option.Key)
		}
	}
	for _, name := range []string{"objects/info/alternates", "info/grafts"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			return fmt.Errorf("the repository has .git/%s", name)
		}
	}
	return nil
}

// doubt names what may make a file of other bytes than the commit's clean for git; empty
// when nothing does. Files of the same bytes are clean in any case.
func (s *plainStatus) doubt() string {
	for _, key := range []string{"sparseCheckout", "autocrlf", "eol", "fileMode", "ignoreCase"} {
		value := s.core[strings.ToLower(key)]
		if value != "" && (value == "true") != (key == "fileMode") && value != "false" || value == "false" && key == "fileMode" {
			return fmt.Sprintf("the configuration has core.%s = %s", key, value)
		}
	}
	if file := s.core["attributes"]; file != "" {
		return "there is " + file
	}
	for file := range s.committed {
		if path.Base(file) == ".gitattributes" {
			return "the commit has " + file
		}
	}
	return ""
}

// differences are the files that the image can depend on and that are not as in the
// commit.
func (s *plainStatus) differences(c *object.Commit) ([]string, error) {
	if err := s.readCommitted(c, "."); err != nil {
		return nil, err
	}
	for file, entry := range s.unseen {
		if entry.Mode != filemode.Submodule {
			continue
		}
		if _, err := os.Lstat(filepath.Join(s.root, file, ".git")); err == nil {
			return nil, needsGit(s.root, "the commit has the submodule "+file)
		}
		delete(s.unseen, file) // not checked out
	}
	if err := s.compare("."); err != nil {
		return nil, fmt.Errorf("comparing work tree with commit: %w", err)
	}
	for file := range s.unseen {
		s.dirty = append(s.dirty, file)
	}
	slices.Sort(s.dirty)
	var seen []string
	for _, file := range s.dirty {
		sees, err := s.sight.Sees(filepath.Join(s.root, file))
		if err != nil {
			return nil, err
		}
		for _, config := range s.options.Files { // as git's answers are taken
			sees = sees || s.options.place(config) == filepath.Join(s.root, file) && s.committed[file]
		}
		if sees {
			seen = append(seen, file)
		}
	}
	if doubt := s.doubt(); doubt != "" && seen != nil {
		return nil, needsGit(s.root, doubt+", and "+seen[0]+" has other bytes")
	}
	return seen, nil
}

// plainStatus compares files with those of a commit, by their bytes. Paths are
// slash-separated and relative to root.
type plainStatus struct {
	options   Options
	root      string
	config    *config.Config
	sight     buildkit.Sight
	unseen    map[string]object.TreeEntry // committed files that were not met yet
	committed map[string]bool
	parents   map[string]bool // folders with committed files
	ignored   gitignore.Patterns
	core      values // of the section core, of all configurations
	excludes  string // the user's file of what is ignored; "" for none
	dirty     []string
}

func (s *plainStatus) readCommitted(c *object.Commit, folder string) error {
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
			s.committed[name] = true
		}
	}
}

// compare walks the files below a folder.
func (s *plainStatus) compare(folder string) error {
	if err := s.readIgnoreFiles(folder); err != nil {
		return err
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
func (s *plainStatus) enter(name string) error {
	if path.Base(name) == ".git" || name != "." && !s.parents[name] && s.ignored.Match(name, true) {
		return fs.SkipDir
	}
	return s.readIgnoreFile(name)
}

// look compares one file.
func (s *plainStatus) look(name string, entry fs.DirEntry) error {
	committed, tracked := s.unseen[name]
	delete(s.unseen, name)
	if !tracked {
		if path.Base(name) != ".git" && !s.ignored.Match(name, false) {
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
	f, size, err := bounds.Open(file)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	h := plumbing.NewHasher(plumbing.BlobObject, size)
	_, err = io.Copy(h, f)
	return h.Sum(), errors.Join(err, f.Close())
}
