package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
)

// commit is the state of the repository that a build context lies in.
type commit struct {
	Hash  string
	Time  time.Time // the committer's
	Tags  []string  // at the commit, sorted
	Dirty []string  // files of the context that differ from the commit; see readDirty

	// compare finds the dirty files; nil outside a repository. A field for the
	// repository itself would link all of its methods: half a megabyte.
	compare func() ([]string, error)
}

// readCommit returns the zero commit for a folder outside any repository, and
// for a repository without commits.
func readCommit(dir string) (commit, error) {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return commit{}, nil
	}
	if err != nil {
		return commit{}, fmt.Errorf("opening git repository of %s: %w", dir, err)
	}
	head, err := repo.Head()
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return commit{}, nil
	}
	if err != nil {
		return commit{}, fmt.Errorf("reading HEAD: %w", err)
	}
	c, err := repo.CommitObject(head.Hash())
	if err != nil {
		return commit{}, fmt.Errorf("reading commit %s: %w", head.Hash(), err)
	}
	found := commit{Hash: c.Hash.String(), Time: c.Committer.When.UTC()}
	found.compare = func() ([]string, error) { return dirtyFiles(repo, dir) }
	found.Tags, err = tagsAt(repo, c.Hash)
	return found, err
}

// readDirty fills Dirty. It takes seconds in a large work tree, so it is left to
// those who must know.
func (c *commit) readDirty() (err error) {
	if c.compare != nil {
		c.Dirty, err = c.compare()
	}
	return err
}

// tagsAt returns the tags that name a commit, lightweight and annotated.
func tagsAt(repo *git.Repository, hash plumbing.Hash) ([]string, error) {
	refs, err := repo.Tags()
	if err != nil {
		return nil, fmt.Errorf("listing tags: %w", err)
	}
	var tags []string
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		target := ref.Hash()
		tag, err := repo.TagObject(target)
		if err == nil && tag.TargetType == plumbing.CommitObject {
			target = tag.Target
		} else if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) {
			return err
		}
		if target == hash {
			tags = append(tags, ref.Name().Short())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading tags: %w", err)
	}
	slices.Sort(tags)
	return tags, nil
}

// dirtyFiles returns the files below dir that are not as in the last commit.
func dirtyFiles(repo *git.Repository, dir string) ([]string, error) {
	tree, err := repo.Worktree()
	if errors.Is(err, git.ErrIsBareRepository) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening work tree: %w", err)
	}
	status, err := tree.Status()
	if err != nil {
		return nil, fmt.Errorf("comparing work tree with commit: %w", err)
	}
	prefix, err := below(tree.Filesystem.Root(), dir)
	if err != nil {
		return nil, err
	}
	var dirty []string
	for file, s := range status {
		changed := s.Worktree != git.Unmodified || s.Staging != git.Unmodified
		if changed && (prefix == "." || file == prefix || strings.HasPrefix(file, prefix+"/")) {
			dirty = append(dirty, file)
		}
	}
	slices.Sort(dirty)
	return dirty, nil
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
	if abs, err = filepath.EvalSymlinks(abs); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("resolving %s: %w", dir, err)
	}
	rel, err := filepath.Rel(realRoot, abs)
	return filepath.ToSlash(rel), err
}
