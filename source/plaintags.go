package source

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// tagsAt returns the tags that name a commit, lightweight and annotated.
func tagsAt(repo *filesystem.Storage, hash plumbing.Hash) ([]string, error) {
	refs, err := repo.IterReferences()
	if err != nil {
		return nil, fmt.Errorf("listing tags: %w", err)
	}
	var tags []string
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		if !ref.Name().IsTag() {
			return nil
		}
		target := ref.Hash()
		tag, err := object.GetTag(repo, target)
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
