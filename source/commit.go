package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/buildkit"
)

// Commit is the state of the repository that a build context lies in. Names of files are
// relative to its root.
type Commit struct {
	Hash   string    // empty: no repository, or nothing committed yet
	Root   string    // of the work tree; empty outside a repository
	Time   time.Time // the committer's
	Tags   []string  // at the commit, sorted
	Dirty  []string  // files that the image can depend on and that differ from the commit
	Stated bool      // no repository says so, but who releases

	Unjudged []string // of the dirty ones: files behind a filter that only the user's git can judge
	Sparse   []string // files that the image would have if they were checked out
	Missing  []string // submodules that are not checked out, likewise
}

// ReadCommit asks git's program about the repository that the context lies in; where the
// machine has none, plain repositories are read without it. It returns the zero commit
// for a folder outside any repository, and one without a hash for a repository without
// commits. Its error is a [*GitError] for a repository that cannot be read.
func (o Options) ReadCommit(ctx context.Context) (Commit, error) {
	dir, err := filepath.EvalSymlinks(string(o.Settings.Build.Context))
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if errors.Is(err, os.ErrNotExist) {
		return Commit{}, nil // a context that is missing is the build's affair
	}
	if err != nil {
		return Commit{}, fmt.Errorf("resolving the context: %w", err)
	}
	root := rootOf(dir)
	if root == "" {
		return Commit{}, nil
	}
	sight, err := o.build().Sight()
	if err != nil {
		return Commit{}, err
	}
	if git := findGit(o.Getenv); git != "" {
		return o.askGit(ctx, git, dir, sight)
	}
	return o.readPlain(root, sight)
}

// build is the source of the build as far as it decides what the build sees.
func (o Options) build() buildkit.Source {
	s := Build(o.Settings)
	for _, lock := range append([]string{o.Lock}, o.Locks...) {
		s.Ignore = append(s.Ignore, ignored(lock, s.Context)...)
	}
	return s
}

// rootOf returns the folder, or the nearest above it, that has a repository; empty when
// there is none.
func rootOf(dir string) string {
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// withRepository opens a repository for as long as it is used.
func (o Options) withRepository(ctx context.Context, git, dir string, use func(*repository) error) (err error) {
	scratch, err := os.MkdirTemp("", "mrelease-git-")
	if err != nil {
		return &GitError{Where: dir, Problem: "no temporary folder can be made for git: " + err.Error(), Cure: "make the folder that TMPDIR names, or name another that you may write to"}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := checkFiles(dir); err != nil {
		return err
	}
	r, err := o.openRepository(ctx, git, dir, scratch)
	if err != nil {
		return err
	}
	return use(r)
}

func (o Options) askGit(ctx context.Context, git, dir string, sight buildkit.Sight) (found Commit, err error) {
	err = o.withRepository(ctx, git, dir, func(r *repository) (err error) {
		found.Root = r.root
		if found.Hash, err = r.head(ctx); err != nil || found.Hash == "" {
			return err
		}
		if found.Time, err = r.time(ctx, found.Hash); err != nil {
			return err
		}
		if found.Tags, err = r.tags(ctx, found.Hash); err != nil {
			return err
		}
		nested := bounds.GitNested
		s := status{options: o, repo: r, sight: sight, nested: &nested, found: &found}
		if err := s.compare(ctx, found.Hash); err != nil {
			return err
		}
		slices.Sort(found.Dirty)
		return nil
	})
	if errors.Is(err, errNone) {
		return Commit{}, nil
	}
	return found, err
}

// time is the committer's, in the raw commit: no setting changes how it is written.
func (r *repository) time(ctx context.Context, commit string) (time.Time, error) {
	raw, err := r.shadow.run(ctx, nil, "cat-file", "commit", commit)
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(string(raw)) {
		if line == "\n" {
			break // the message
		}
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "committer" {
			continue
		}
		if seconds, err := strconv.ParseInt(fields[len(fields)-2], 10, 64); err == nil {
			return time.Unix(seconds, 0).UTC(), nil
		}
	}
	return time.Time{}, &GitError{Where: r.root, Problem: "the commit " + commit + " has no committer's time"}
}

// tags are those that name a commit, lightweight and annotated.
func (r *repository) tags(ctx context.Context, commit string) ([]string, error) {
	out, err := r.itself.run(ctx, nil, "for-each-ref", "--points-at="+commit, "--format=%(refname)", "refs/tags")
	if err != nil {
		return nil, err
	}
	var tags []string
	for line := range strings.Lines(string(out)) {
		tags = append(tags, strings.TrimSuffix(strings.TrimPrefix(line, "refs/tags/"), "\n"))
	}
	slices.Sort(tags)
	return tags, nil
}

// place is a file's path without links, as git's answers have it.
func (o Options) place(file string) string {
	full, err := filepath.Abs(file)
	if err != nil {
		return file
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(full)); err == nil {
		return filepath.Join(folder, filepath.Base(full))
	}
	return full
}
