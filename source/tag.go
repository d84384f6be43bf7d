package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// TagError says that the tag that named the version names the commit no more.
type TagError struct {
	Tag, Commit string
	Now         []string // tags at the commit
}

func (e *TagError) Error() string {
	return fmt.Sprintf("git's tag %s was moved or removed since the release began", e.Tag)
}

// Evidence returns which commit it named.
func (e *TagError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Tag + " at commit " + e.Commit}, {"actual", fmt.Sprintf("the tags %q there", e.Now)}}
}

// CheckTag reads again whether the tag that named the version is at the commit. It returns
// the tag's name, which is empty where no tag named it. Errors: [*TagError], [*GitError].
func (s Source) CheckTag(ctx context.Context) (tag string, err error) {
	i := slices.IndexFunc(s.Commit.Tags, func(tag string) bool { return withoutV(tag) == s.Version })
	if i < 0 || s.options == nil {
		return "", nil
	}
	tag = s.Commit.Tags[i]
	now, err := s.options.tagsOf(ctx, s.Commit)
	if err == nil && !slices.Contains(now, tag) {
		err = &TagError{tag, s.Commit.Hash, now}
	}
	return tag, err
}

// tagsOf reads the tags at a commit that was read before.
func (o Options) tagsOf(ctx context.Context, c Commit) (tags []string, err error) {
	git := findGit(o.Getenv)
	if git == "" {
		repo := filesystem.NewStorage(osfs.New(filepath.Join(c.Root, ".git")), cache.NewObjectLRUDefault())
		return tagsAt(repo, plumbing.NewHash(c.Hash))
	}
	err = o.withRepository(ctx, git, c.Root, func(r *repository) (err error) {
		tags, err = r.tags(ctx, c.Hash)
		return err
	})
	if errors.Is(err, errNone) {
		return nil, nil
	}
	return tags, err
}
