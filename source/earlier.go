package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// Earlier reads a file as another commit of its repository has it: data is nil when that
// commit has no such file. It is not found when the commit cannot be seen: it is not in
// the clone, or there is no repository, or no git.
func (o Options) Earlier(ctx context.Context, commit, file string) (data []byte, found bool, err error) {
	place, git := o.place(file), findGit(o.Getenv)
	if git == "" || !regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`).MatchString(commit) {
		return nil, false, nil
	}
	err = o.withRepository(ctx, git, filepath.Dir(place), func(r *repository) error {
		name, err := filepath.Rel(r.root, place)
		if err != nil || strings.Contains(name, "\n") { // which ends a question
			return err
		}
		asked := fmt.Sprintf("%s^{commit}\n%s:%s\n", commit, commit, filepath.ToSlash(name))
		answer, err := r.shadow.run(ctx, []byte(asked), "cat-file", "--batch-check=%(objecttype) %(objectname)")
		if err != nil {
			return err
		}
		first, second, _ := strings.Cut(strings.TrimSpace(string(answer)), "\n")
		found = strings.HasPrefix(first, "commit ")
		if object, isFile := strings.CutPrefix(second, "blob "); found && isFile {
			data, err = r.shadow.run(ctx, nil, "cat-file", "blob", object)
		}
		return err
	})
	if errors.Is(err, errNone) {
		return nil, false, nil
	}
	return data, found, err
}
