package buildkit

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
)

// Sight is what a build sees of this machine's files.
type Sight struct {
	files []string // the Dockerfile and the ignore files, be they there or not
	trees []seenTree
}

// seenTree is a context without what its ignore file names.
type seenTree struct {
	root    string // absolute, without links
	ignore  string // the ignore file, be it there or not
	ignored *patternmatcher.PatternMatcher
}

// Sight reads the ignore files. It is for many questions; [Source.Sends] is for one.
func (s Source) Sight() (Sight, error) {
	own := s.path() + ".dockerignore"
	ignore := s.IgnoreFile()
	seen := Sight{files: slices.Compact([]string{withoutLinks(s.path()), Absolute(s.path()), Absolute(own), Absolute(ignore)})}
	context, err := newSeenTree(s.Context, ignore, s.Ignore...)
	if err != nil {
		return Sight{}, err
	}
	seen.trees = append(seen.trees, context)
	for _, value := range s.Contexts {
		if strings.HasPrefix(value, schemeImage) || strings.HasPrefix(value, schemeLayout) {
			continue
		}
		named, err := newSeenTree(value, filepath.Join(value, ".dockerignore"))
		if err != nil {
			return Sight{}, err
		}
		seen.files = append(seen.files, filepath.Join(named.root, ".dockerignore"))
		seen.trees = append(seen.trees, named)
	}
	return seen, nil
}

func newSeenTree(root, ignore string, more ...string) (seenTree, error) {
	rules, err := readIgnore(ignore)
	if err != nil {
		return seenTree{}, err
	}
	matcher, err := patternmatcher.New(append(rules.patterns, more...))
	if err != nil {
		return seenTree{}, fmt.Errorf("reading ignore file %q: %w", ignore, err)
	}
	return seenTree{withoutLinks(root), ignore, matcher}, nil
}

// Places are the folders and files outside of which nothing is seen, absolute and
// without links in the folders.
func (s Sight) Places() []string {
	places := slices.Clone(s.files)
	for _, t := range s.trees {
		places = append(places, t.root)
	}
	return places
}

// Sees reports whether the image can depend on a file, named by its absolute path in a
// folder without links: see [Absolute].
func (s Sight) Sees(file string) (bool, error) {
	if slices.Contains(s.files, file) {
		return true, nil
	}
	ignore, err := s.IgnoreFile(file)
	return ignore != "", err
}

// IgnoreFile returns the ignore file, be it there or not, in which a line would leave a
// file out that a context has, named as for [Sight.Sees]; "" when no context has it.
func (s Sight) IgnoreFile(file string) (string, error) {
	for _, t := range s.trees {
		inside, err := filepath.Rel(t.root, file)
		if err != nil || !filepath.IsLocal(inside) {
			continue
		}
		ignored, err := t.ignored.MatchesOrParentMatches(filepath.ToSlash(inside))
		if err != nil {
			return "", fmt.Errorf("matching %q: %w", inside, err)
		}
		if !ignored {
			return t.ignore, nil
		}
	}
	return "", nil
}

// withoutLinks resolves the links of a path as far as it is there.
func withoutLinks(path string) string {
	path = Absolute(path)
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(withoutLinks(parent), filepath.Base(path))
	}
	return path
}

// Absolute makes a path absolute, with the links of its folder resolved and not its own.
func Absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		path = full
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return path
	}
	return filepath.Join(folder, filepath.Base(path))
}
