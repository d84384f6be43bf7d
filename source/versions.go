package source

import (
	"context"
	"strings"
)

// Versions returns the versions that the repository's tags name, the newest first, a
// hundred at most: for who has to choose one. There are none without git, and where
// there is no repository.
func (o Options) Versions(ctx context.Context) (versions []string) {
	git := findGit(o.Getenv)
	if git == "" {
		return nil
	}
	// What cannot be read is not offered: who names a version is told then what is wrong.
	_ = o.withRepository(ctx, git, o.place(string(o.Settings.Build.Context)), func(r *repository) error {
		out, err := r.itself.run(ctx, nil, "for-each-ref", "--sort=-version:refname", "--count=100", "--format=%(refname:strip=2)", "refs/tags")
		for line := range strings.Lines(string(out)) {
			if version := withoutV(strings.TrimSuffix(line, "\n")); checkVersion(version) == nil {
				versions = append(versions, version)
			}
		}
		return err
	})
	return versions
}
