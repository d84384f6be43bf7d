package source

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/printable"
)

// StateError refuses a source because of what git says, or does not say, of it.
type StateError struct {
	Commit Commit
	Lacks  []Lack // what is missing to say what is released; none when the source is changed
	Tag    string // the version's; empty when it was asked for otherwise
}

// Lack is something that a release needs and that no repository says.
type Lack struct{ What, Cure string }

// Error implements error.
func (e *StateError) Error() string {
	switch {
	case len(e.Lacks) == 0 && e.Tag != "":
		return "the source differs from the tag " + e.Tag
	case len(e.Lacks) == 0:
		return "the source differs from its commit"
	}
	var what []string
	for _, l := range e.Lacks {
		what = append(what, l.What)
	}
	return "the source has no " + strings.Join(what, ", no ")
}

// Changed reports whether there is a commit that the source differs from.
func (e *StateError) Changed() bool { return len(e.Lacks) == 0 }

// Incomplete reports whether more is missing than the commit: a version or a time.
func (e *StateError) Incomplete() bool {
	return slices.ContainsFunc(e.Lacks, func(l Lack) bool { return l.What != lackCommit })
}

// Evidence returns the files that differ, each on a line of its own, or what each
// thing that is missing can be given with.
func (e *StateError) Evidence() [][2]string {
	if len(e.Lacks) > 0 {
		facts := [][2]string{{"git", e.Commit.where()}}
		for _, l := range e.Lacks {
			facts = append(facts, [2]string{"no " + l.What, l.Cure})
		}
		return facts
	}
	var files []string
	for _, name := range e.Commit.Dirty {
		files = append(files, printable.Text(name))
	}
	more := ""
	if len(files) > 10 {
		more = fmt.Sprintf("\nand %d more", len(files)-10)
		files = files[:10]
	}
	facts := [][2]string{{"commit", e.Commit.Hash}, {"changed", strings.Join(files, "\n") + more}}
	if e.Tag != "" {
		facts = slices.Insert(facts, 0, [2]string{"tag", e.Tag})
	}
	if n := len(e.Commit.Unjudged); n > 0 {
		facts = append(facts, [2]string{"not judged", fmt.Sprintf("%s: behind a filter that git's configuration names, which is not run here", printable.Text(e.Commit.Unjudged[0]))})
	}
	return facts
}

// Remedy is the next command.
func (e *StateError) Remedy() string {
	switch {
	case len(e.Commit.Unjudged) > 0 && len(e.Commit.Unjudged) == len(e.Commit.Dirty):
		return "git status says whether they are changed; if not, git add --renormalize " + printable.Text(e.Commit.Unjudged[0]) + " makes it note that, and the same command goes on"
	case e.Changed():
		return "commit or stash the changes; or --allow-dirty, which the record then shows"
	case e.Commit.Root == "":
		return "run it in a git repository; or say what git would: " + e.flags()
	case e.Commit.Hash == "":
		return "git add -A && git commit; or say what git would: " + e.flags()
	}
	return "git tag 1.0.0 (or whichever version it is); or " + e.flags()
}

// flags are those that say what is missing.
func (e *StateError) flags() string {
	command := "the same command with"
	for _, l := range e.Lacks {
		command += map[string]string{lackVersion: " --version 1.0.0", lackTime: " --source-date-epoch SECONDS", lackCommit: " --commit COMMIT (or --allow-dirty)"}[l.What]
	}
	return command
}

func (c Commit) where() string {
	switch {
	case c.Root == "":
		return "the context is in no repository"
	case c.Hash == "":
		return "nothing is committed in " + c.Root
	}
	return "commit " + c.Hash + " of " + c.Root
}

// Difference says in words how the source differs from a commit.
func (c Commit) Difference() string {
	if len(c.Dirty) == 0 {
		return c.where()
	}
	return fmt.Sprintf("%s (%s), commit %s", printable.Count(len(c.Dirty), "changed file"), printable.Text(c.Dirty[0]), c.Hash)
}

// What a repository says and a source can lack.
const (
	lackVersion = "version"
	lackTime    = "time"
	lackCommit  = "commit"
)

// lacks is what is missing, in the order in which one asks for it.
func lacks(version, time, commit bool) (all []Lack) {
	for _, l := range []struct {
		missing bool
		lack    Lack
	}{
		{version, Lack{lackVersion, "--version, or a git tag at the commit"}},
		{time, Lack{lackTime, "--source-date-epoch or SOURCE_DATE_EPOCH, in seconds since 1970"}},
		{commit, Lack{lackCommit, "--commit or MRELEASE_COMMIT; or --allow-dirty"}},
	} {
		if l.missing {
			all = append(all, l.lack)
		}
	}
	return all
}

// Check returns a [*StateError] for a source that cannot be released: it has no
// version, or is not what its commit is, or of no commit, unless that is allowed.
func (s Source) Check() error {
	e := &StateError{Commit: s.Commit, Lacks: lacks(s.Version == "", false, s.Commit.Hash == "" && !s.AllowDirty)}
	if len(e.Lacks) > 0 {
		return e
	}
	if len(s.Commit.Dirty) == 0 || s.AllowDirty {
		return nil
	}
	for _, tag := range s.Commit.Tags {
		if withoutV(tag) == s.Version {
			e.Tag = tag
		}
	}
	return e
}

// Dirty reports whether the source is released though it is not its commit.
func (s Source) Dirty() bool { return s.Commit.Hash == "" || len(s.Commit.Dirty) > 0 }

// FindCommit is ReadCommit, or the commit that was asked for. Where a repository says
// another one, it is a [*VersionError]; the environment's counts where none says one.
func (o Options) FindCommit(ctx context.Context) (Commit, error) {
	stated := cmp.Or(o.Commit, o.Getenv("MRELEASE_COMMIT"))
	if stated != "" && !regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`).MatchString(stated) {
		return Commit{}, &VersionError{fmt.Sprintf("%q is no commit: want its 40 or 64 hex digits", stated), "a commit's 40 or 64 hex digits", stated, "git rev-parse HEAD"}
	}
	c, err := o.ReadCommit(ctx)
	switch {
	case err != nil || stated == "":
		return c, err
	case c.Hash == "":
		c.Hash, c.Stated = stated, true
	case o.Commit != "" && c.Hash != o.Commit:
		return c, &VersionError{"the commit that was asked for is not the one that is checked out", "HEAD to be " + stated, "HEAD is " + c.Hash, "git checkout " + stated}
	}
	return c, nil
}
