package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
)

// commit is the state of the repository that a build context lies in.
type commit struct {
	Hash  string
	Time  time.Time // the committer's
	Tags  []string  // at the commit, sorted
	Dirty []string  // files of the context that differ from the commit
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
	if found.Tags, err = tagsAt(repo, c.Hash); err != nil {
		return commit{}, err
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
