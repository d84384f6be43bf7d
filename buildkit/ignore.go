package buildkit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/mrelease/mrelease/bounds"
)

// IgnoreError says which line of an ignore file is no pattern.
type IgnoreError struct {
	File    string
	Line    int // from 1
	Pattern string
	Err     error
}

// Error implements error.
func (e *IgnoreError) Error() string {
	return fmt.Sprintf("%s: %q is no pattern: %v", e.Place(), e.Pattern, e.Err)
}

// Unwrap returns the cause.
func (e *IgnoreError) Unwrap() error { return e.Err }

// Place is the file with the line.
func (e *IgnoreError) Place() string { return fmt.Sprintf("%s:%d", e.File, e.Line) }

// Evidence returns the line.
func (e *IgnoreError) Evidence() [][2]string {
	return [][2]string{{"where", e.Place()}, {"expected", "a pattern, as in https://docs.docker.com/build/concepts/context/#syntax"}, {"actual", e.Pattern}}
}

// ignoreRules are what an ignore file leaves out.
type ignoreRules struct {
	file     string
	patterns []string
	lines    []ignoreLine // of the patterns, in the file's order
}

// ignoreLine is a line with a pattern.
type ignoreLine struct {
	number  int // from 1
	pattern string
}

// IgnoreFile returns the path of the ignore file that holds for Context, be it there or not.
func (s Source) IgnoreFile() string {
	own := s.path() + ".dockerignore"
	if _, err := os.Stat(own); errors.Is(err, fs.ErrNotExist) {
		return filepath.Join(s.Context, ".dockerignore")
	}
	return own
}

// readIgnore returns no patterns when there is no file, as Docker does. A line that
// is no pattern is an *IgnoreError.
func readIgnore(path string) (ignoreRules, error) {
	rules := ignoreRules{file: path}
	data, err := bounds.ReadFile(path, bounds.Dockerfile)
	if errors.Is(err, fs.ErrNotExist) {
		return rules, nil
	}
	if err != nil {
		return rules, fmt.Errorf("reading ignore file: %w", err)
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		found, err := ignorefile.ReadAll(bytes.NewReader(line))
		if err != nil {
			return rules, fmt.Errorf("parsing ignore file %q: %w", path, err)
		}
		for _, pattern := range found {
			if err := checkPattern(pattern); err != nil {
				return rules, &IgnoreError{path, number, pattern, err}
			}
			rules.lines = append(rules.lines, ignoreLine{number, pattern})
		}
	}
	if rules.patterns, err = ignorefile.ReadAll(bytes.NewReader(data)); err != nil {
		return rules, fmt.Errorf("parsing ignore file %q: %w", path, err)
	}
	return rules, nil
}

// checkPattern finds what is wrong with a pattern: some of it is seen only when
// something is matched.
func checkPattern(pattern string) error {
	m, err := patternmatcher.New([]string{pattern})
	if err != nil {
		return err
	}
	_, err = m.MatchesOrParentMatches("a/b")
	return err
}

// leavingOut returns the line that leaves a file of the context out: the last one that
// matches it or a folder that it is in. It is the zero value when none does.
func (r ignoreRules) leavingOut(path string) (last ignoreLine) {
	for _, line := range r.lines {
		pattern, excepts := strings.CutPrefix(line.pattern, "!")
		if matches, err := patternmatcher.MatchesOrParentMatches(path, []string{pattern}); err != nil || !matches {
			continue
		}
		if last = line; excepts {
			last = ignoreLine{}
		}
	}
	return last
}
