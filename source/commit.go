package source

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/mrelease/mrelease/printable"
)

// Commit is the state of the repository that a build context lies in.
type Commit struct {
	Hash  string
	Time  time.Time // the committer's
	Tags  []string  // at the commit, sorted
	Dirty []string  // files of the context that differ from the commit
}

// ReadCommit returns the zero commit for a folder outside any repository, and
// for a repository without commits.
func ReadCommit(dir string) (Commit, error) {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return Commit{}, nil
	}
	if err != nil {
		return Commit{}, fmt.Errorf("opening git repository of %s: %w", dir, err)
	}
	head, err := repo.Head()
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return Commit{}, nil
	}
	if err != nil {
		return Commit{}, fmt.Errorf("reading HEAD: %w", err)
	}
	c, err := repo.CommitObject(head.Hash())
	if err != nil {
		return Commit{}, fmt.Errorf("reading commit %s: %w", head.Hash(), err)
	}
	found := Commit{Hash: c.Hash.String(), Time: c.Committer.When.UTC()}
	if found.Tags, err = tagsAt(repo, c.Hash); err != nil {
		return Commit{}, err
	}
	found.Dirty, err = dirtyFiles(repo, c, dir)
	return found, err
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

// Clean is the object's name; empty when the context was changed since.
func (c Commit) Clean() string {
	if len(c.Dirty) > 0 {
		return ""
	}
	return c.Hash
}

// DirtyError refuses a release whose version names a commit that it is not.
type DirtyError struct {
	Commit Commit
	Tag    string
}

// Error implements error.
func (e *DirtyError) Error() string {
	return fmt.Sprintf("the source differs from the tag %s", e.Tag)
}

// Evidence returns the files that differ, each on a line of its own.
func (e *DirtyError) Evidence() [][2]string {
	var files []string
	for _, name := range e.Commit.Dirty {
		files = append(files, printable.Text(name))
	}
	more := ""
	if len(files) > 10 {
		more = fmt.Sprintf("\nand %d more", len(files)-10)
		files = files[:10]
	}
	return [][2]string{{"tag", e.Tag}, {"commit", e.Commit.Hash}, {"changed", strings.Join(files, "\n") + more}}
}
