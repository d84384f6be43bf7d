package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/buildkit"
)

// tracked is a file of a commit, as git's index has it.
type tracked struct{ mode, object string }

const submoduleMode = "160000"

// status is how a work tree differs from a commit, asked of git for the places that a
// build sees.
//
// The commit is read into an index of its own, so the answer rests on what the files
// hold: not on what was staged, on marks in the user's index that hide changes
// (assume-unchanged, skip-worktree), or on times that are equal by chance.
type status struct {
	options Options
	repo    *repository
	prefix  string // of the repository in the outermost one: "", or "src/lib/"
	sight   buildkit.Sight
	nested  *int // submodules that may still be looked into
	files   map[string]tracked
	left    []string // files that are not checked out
	found   *Commit
}

// compare adds what differs from a commit to what was found.
func (s *status) compare(ctx context.Context, commit string) error {
	err := os.WriteFile(filepath.Join(s.repo.place, "HEAD"), []byte(commit+"\n"), 0o600)
	if err != nil {
		return fmt.Errorf("preparing git's folder: %w", err)
	}
	if _, err := s.repo.shadow.run(ctx, nil, "read-tree", commit); err != nil {
		return err
	}
	if err := s.readFiles(ctx); err != nil {
		return err
	}
	if err := checkTree(s.repo.root, s.places()); err != nil {
		return err
	}
	if err := s.leaveOut(ctx); err != nil {
		return err
	}
	changed, err := s.changes(ctx)
	if err != nil {
		return err
	}
	if err := s.judge(ctx, changed); err != nil {
		return err
	}
	if err := s.inspect(ctx); err != nil {
		return err
	}
	return s.submodules(ctx)
}

func (s *status) readFiles(ctx context.Context) error {
	lines, err := s.repo.shadow.fields(ctx, nil, "ls-files", "--stage", "-z")
	s.files = make(map[string]tracked, len(lines))
	for _, line := range lines {
		entry, name, _ := strings.Cut(line, "\t")
		parts := strings.Fields(entry)
		if len(parts) != 3 {
			return &GitError{Where: s.repo.root, Problem: fmt.Sprintf("git ls-files says %q", line)}
		}
		s.files[name] = tracked{parts[0], parts[1]}
	}
	return err
}

// leaveOut tells the index which files a sparse checkout left out. One that is there
// all the same is looked at.
func (s *status) leaveOut(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(s.repo.folder, "index")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lines, err := s.repo.own().fields(ctx, nil, "ls-files", "-v", "-z")
	if err != nil {
		return err
	}
	for _, line := range lines {
		mark, name, _ := strings.Cut(line, " ")
		if _, ok := s.files[name]; !ok || mark != "S" && mark != "s" {
			continue
		}
		if _, err := os.Lstat(filepath.Join(s.repo.root, name)); err != nil {
			s.left = append(s.left, name)
		}
	}
	if s.left == nil {
		return nil
	}
	for _, name := range s.left {
		if err := s.note(name, &s.found.Sparse); err != nil {
			return err
		}
	}
	_, err = s.repo.shadow.run(ctx, zeroEnded(s.left), "update-index", "-z", "--skip-worktree", "--stdin")
	return err
}

// change is a line of git status: a file that the commit does not have, or that is not
// as in the commit.
type change struct {
	name string
	only bool // nothing but the content differs, if anything does
}

// changes asks git what differs in the places that the build sees.
func (s *status) changes(ctx context.Context) ([]change, error) {
	places := s.places()
	if len(places) == 0 {
		return nil, nil
	}
	lines, err := s.repo.shadow.fields(ctx, nil, slices.Concat(
		[]string{"status", "--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=all", "--"}, places)...)
	if err != nil {
		return nil, err
	}
	var changed []change
	for _, line := range lines {
		found, err := readChange(line)
		if err != nil {
			return nil, &GitError{Where: s.repo.root, Problem: err.Error()}
		}
		changed = append(changed, found)
	}
	return changed, nil
}

// readChange reads a line of git status in its second format, without renames:
//
//	1 XY SUB MODE-HEAD MODE-INDEX MODE-WORKTREE HASH-HEAD HASH-INDEX PATH
//	? PATH
func readChange(line string) (change, error) {
	if name, ok := strings.CutPrefix(line, "? "); ok {
		return change{name: name}, nil
	}
	parts := strings.SplitN(line, " ", 9)
	if len(parts) != 9 || parts[0] != "1" || parts[8] == "" {
		return change{}, fmt.Errorf("git status says %q", line)
	}
	return change{parts[8], parts[1] == ".M" && parts[4] == parts[5]}, nil
}

// places are those that the build sees of this work tree, relative to its root.
func (s *status) places() []string {
	var inside []string
	for _, place := range s.sight.Places() {
		name, err := filepath.Rel(s.repo.root, place)
		if err == nil && filepath.IsLocal(name) {
			inside = append(inside, name)
		} else if back, err := filepath.Rel(place, s.repo.root); err == nil && filepath.IsLocal(back) {
			inside = append(inside, ".") // a submodule in the context
		}
	}
	for _, file := range s.options.Files { // of the commit or not: see note
		if name, err := filepath.Rel(s.repo.root, s.options.place(file)); err == nil && filepath.IsLocal(name) && s.has(name) {
			inside = append(inside, name)
		}
	}
	slices.Sort(inside)
	return slices.Compact(inside)
}

func (s *status) has(name string) bool { _, ok := s.files[name]; return ok }

// judge keeps the changes that the image can depend on.
func (s *status) judge(ctx context.Context, changed []change) error {
	clean, unjudged, err := s.filtered(ctx, changed)
	if err != nil {
		return err
	}
	for _, c := range changed {
		if slices.Contains(clean, c.name) {
			continue
		}
		if slices.Contains(unjudged, c.name) {
			err = s.note(c.name, &s.found.Unjudged)
		}
		if err := errors.Join(err, s.note(c.name, &s.found.Dirty)); err != nil {
			return err
		}
	}
	return nil
}

// note adds a file to a list if the image can depend on it. A folder, which is another
// repository that the commit does not know, counts when a file in it does.
func (s *status) note(name string, list *[]string) error {
	file := filepath.Join(s.repo.root, name)
	if strings.HasSuffix(name, "/") {
		return s.noteBelow(strings.TrimSuffix(name, "/"), list)
	}
	seen, err := s.sight.Sees(file)
	// A configuration of the commit decides what is built, as does a flag; one that
	// the commit does not have is given from outside, as a flag is.
	for _, config := range s.options.Files {
		seen = seen || s.options.place(config) == file && s.has(name)
	}
	if seen {
		*list = append(*list, s.prefix+name)
	}
	return err
}

// noteBelow adds the files below a folder that the image can depend on.
func (s *status) noteBelow(folder string, list *[]string) error {
	return filepath.WalkDir(filepath.Join(s.repo.root, folder), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.Name() == ".git" {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(s.repo.root, path)
		if err != nil {
			return err
		}
		return s.note(name, list)
	})
}

// submodules looks into each submodule that the build sees a part of: what is in it has
// to be what the commit names.
func (s *status) submodules(ctx context.Context) error {
	var names []string
	for name, file := range s.files {
		if file.mode == submoduleMode && s.reaches(name) && !slices.Contains(s.left, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if err := s.submodule(ctx, name, s.files[name].object); err != nil {
			return err
		}
	}
	return nil
}

// reaches reports whether a place that the build sees holds a folder, or lies in it.
func (s *status) reaches(folder string) bool {
	return slices.ContainsFunc(s.places(), func(place string) bool {
		return place == "." || place == folder || strings.HasPrefix(folder, place+"/") || strings.HasPrefix(place, folder+"/")
	})
}

func (s *status) submodule(ctx context.Context, name, commit string) error {
	dir := filepath.Join(s.repo.root, name)
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return s.note(name, &s.found.Dirty)
	}
	if _, err := os.Lstat(filepath.Join(dir, ".git")); err != nil {
		if err := s.note(name, &s.found.Missing); err != nil {
			return err
		}
		return s.noteBelow(name, &s.found.Dirty)
	}
	if *s.nested--; *s.nested < 0 {
		return &bounds.Error{Where: s.repo.root, What: "the number of its submodules", Most: strconv.Itoa(bounds.GitNested), File: true}
	}
	err = s.options.withRepository(ctx, s.repo.itself.path, dir, func(inner *repository) error {
		below := status{options: s.options, repo: inner, prefix: s.prefix + name + "/", sight: s.sight, nested: s.nested, found: s.found}
		if _, err := inner.shadow.run(ctx, nil, "cat-file", "-e", commit+"^{tree}"); err != nil {
			return below.noteAll()
		}
		return below.compare(ctx, commit)
	})
	if errors.Is(err, errNone) {
		return s.noteBelow(name, &s.found.Dirty)
	}
	return err
}

// noteAll takes a submodule for changed as a whole: it does not have the commit.
func (s *status) noteAll() error {
	outer := filepath.Clean(s.prefix)
	s.found.Dirty = append(s.found.Dirty, outer)
	return nil
}
