package buildkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"

	"github.com/mrelease/mrelease/bounds"
)

// Finding is something in a Dockerfile that builds, and that its author is
// likely not to have meant.
type Finding struct {
	Line int // from 1; 0 when it is not about one line
	Code string
	Text string
	Cure string
}

// The codes of what is no matter of taste: a build fails at a file that is left out of
// its context, without an ENTRYPOINT it is the base image's program that is measured, and
// what a shell prints is trusted by nobody.
const (
	NoEntrypoint    = "NoEntrypoint"
	ShellEntrypoint = "ShellEntrypoint"
	ignoredFile     = "IgnoredFile"
)

// Stops reports whether a release cannot be made of it, or would be of another program
// than its author's. What is measured is not asked where the image's digest is the
// measurement, nor who says so where any program's word is taken.
func (f Finding) Stops(measured, proven bool) bool {
	return f.Code == ignoredFile || f.Code == NoEntrypoint && measured || f.Code == ShellEntrypoint && measured && proven
}

// Lint parses the Dockerfile as a build does, but without a builder, and returns
// what BuildKit's own linter finds, and what goes wrong in images of enclaves. A
// line "# check=skip=CODE" in the Dockerfile
// silences it, as it does for other BuildKit clients.
//
// Of a Dockerfile that links lead to out of the context only places are told.
//
// Its error is a *BuildError with the place when the Dockerfile cannot be
// parsed, or has no stage of the name in Target, and an *IgnoreError for an ignore file.
func (s Source) Lint(ctx context.Context) ([]Finding, error) {
	data, err := bounds.ReadFile(s.path(), bounds.Dockerfile)
	if err != nil {
		return nil, fmt.Errorf("reading Dockerfile: %w", err)
	}
	var found []Finding
	rules, err := newLinter(data, &found)
	if err != nil {
		return nil, s.parseError(err)
	}
	parsed, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, s.parseError(err)
	}
	for _, w := range parsed.Warnings {
		if w.URL == linter.RuleNoEmptyContinuation.URL { // the only rule that the parser itself applies
			rules.Run(&linter.RuleNoEmptyContinuation, []parser.Range{*w.Location}, linter.RuleNoEmptyContinuation.Format())
		}
	}
	stages, _, err := instructions.Parse(parsed.AST, rules)
	if err != nil {
		return nil, s.parseError(err)
	}
	if err := s.checkTarget(stages); err != nil {
		return s.hideFindings(found), err
	}
	s.lintSeal(rules, stages)
	err = s.lintTaken(ctx, rules, stages)
	return s.hideFindings(found), err
}

// newLinter appends what it finds to a list.
func newLinter(dockerfile []byte, found *[]Finding) (*linter.Linter, error) {
	config := &linter.Config{}
	if asked, _, _, ok := parser.ParseDirective("check", dockerfile); ok {
		var err error
		if config, err = linter.ParseLintOptions(asked); err != nil {
			return nil, err
		}
	}
	config.Warn = func(rule, description, url, text string, at []parser.Range) {
		f := Finding{Code: rule, Text: text, Cure: strings.TrimSpace(description + " " + url)}
		if len(at) > 0 {
			f.Line = at[0].Start.Line
		}
		*found = append(*found, f)
	}
	return linter.New(config), nil
}

// parseError gives an error of the parser the place that it knows.
func (s Source) parseError(err error) error {
	e := &BuildError{Dockerfile: s.path(), Err: err}
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
		e.Line = at.Locations[0][0].Start.Line
	}
	s.hide(e)
	return e
}

func (s Source) checkTarget(stages []instructions.Stage) error {
	if len(stages) == 0 {
		return s.parseError(errors.New("it has no FROM instruction"))
	}
	if s.Target == "" {
		return nil
	}
	if _, ok := instructions.HasStage(stages, s.Target); ok {
		return nil
	}
	var names []string
	for _, stage := range stages {
		if stage.Name != "" {
			names = append(names, stage.Name)
		}
	}
	if len(names) == 0 {
		return s.parseError(fmt.Errorf("no stage is called %q, and no other has a name: FROM IMAGE AS %s gives one", s.Target, s.Target))
	}
	return s.parseError(fmt.Errorf("no stage is called %q, only: %s", s.Target, strings.Join(names, ", ")))
}

// Sends reports whether a build would see a file or folder: it lies in the
// context, and the ignore file does not leave it out.
func (s Source) Sends(path string) (bool, error) {
	root, err := filepath.Abs(s.Context)
	if err != nil {
		return false, fmt.Errorf("resolving %q: %w", s.Context, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return false, fmt.Errorf("resolving file: %w", err)
	}
	inside, err := filepath.Rel(root, path)
	if err != nil || !filepath.IsLocal(inside) {
		return false, nil
	}
	rules, err := readIgnore(s.IgnoreFile())
	if err != nil {
		return false, err
	}
	ignored, err := patternmatcher.MatchesOrParentMatches(filepath.ToSlash(inside), rules.patterns)
	if err != nil {
		return false, fmt.Errorf("matching %q: %w", inside, err)
	}
	return !ignored, nil
}
