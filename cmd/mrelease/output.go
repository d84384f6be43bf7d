package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/release"
)

// What is printed where: standard output carries the answer and nothing else (a
// digest, a path, one JSON document with --json), standard error the story
// (steps, the tools' own output, errors). Colours and BuildKit's display are
// for terminals. Secrets are never printed; a CI system is told to mask them
// before their first use.

// story tells on standard error what happens: a line for each step, with its
// time and the evidence for it.
type story struct {
	w     io.Writer
	color bool
	ci    ci.Reporter
}

// step runs a part of a command and tells how it ended. Its work returns the
// evidence: a digest, an address, what was found.
func (s story) step(name string, work func() (evidence string, err error)) error {
	ended := s.Step(name)
	evidence, err := work()
	ended(evidence, err)
	return err
}

// Step implements release.Teller.
func (s story) Step(name string) (ended func(evidence string, err error)) {
	start, end := time.Now(), s.ci.Group(name)
	return func(evidence string, err error) {
		end()
		mark, color := "✓", green
		if err != nil {
			mark, color, evidence = "✗", red, "failed"
		}
		fmt.Fprintf(s.w, "%s %-12s %7s  %s\n", s.paint(color, mark), name, since(start), evidence)
	}
}

// Found implements release.Teller; a plan has lines of its own.
func (s story) Found(f release.Finding) { s.note("%s %s", f.Name, f.Evidence) }

// Note implements release.Teller.
func (s story) Note(text string) { s.note("%s", text) }

// note tells something beside the steps.
func (s story) note(format string, args ...any) { fmt.Fprintf(s.w, format+"\n", args...) }

const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s story) paint(color, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// lines is where a command prints an answer of several lines: standard output,
// unless that is kept for the one document.
func (a *app) lines() story {
	if a.json {
		return a.story
	}
	return story{w: a.stdout, color: isTerminal(a.stdout) && a.getenv("NO_COLOR") == "", ci: a.story.ci}
}

// toldError is a failure that the command's own document tells of: standard
// output carries no second one.
type toldError struct{ error }

func (e toldError) Unwrap() error { return e.error }

func since(start time.Time) string {
	return fmt.Sprintf("%.2f s", time.Since(start).Seconds())
}

// printJSON writes an answer's document.
func printJSON(w io.Writer, document any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(document)
}

// failure is an error as it is shown: what happened, the evidence for it, and
// what to do.
type failure struct {
	Schema   string `json:"schema"` // mrelease.error/v1
	Code     string `json:"code"`
	What     string `json:"what"`
	Evidence []fact `json:"evidence,omitempty"`
	Remedy   string `json:"remedy"`
	Exit     int    `json:"exit"`
}

type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// write prints a failure for people.
func (f failure) write(s story) {
	s.note("%s %s", s.paint(red, f.Code+":"), f.What)
	width := 0
	for _, e := range f.Evidence {
		width = max(width, len(e.Name))
	}
	for _, e := range f.Evidence {
		value := strings.ReplaceAll(strings.TrimRight(e.Value, "\n"), "\n", "\n    "+strings.Repeat(" ", width))
		s.note("  %-*s  %s", width, e.Name, value)
	}
	s.note("  %-*s  %s", width, "remedy", f.Remedy)
}

// check tells how a check of verify ended.
func (s story) check(c record.Check) {
	mark, color, evidence := "✓", green, c.Evidence
	if c.Err != nil {
		mark, color, evidence = "✗", red, c.Err.Error()
	}
	s.note("%s %-16s %6.2f s  %s", s.paint(color, mark), c.Name, c.Took.Seconds(), evidence)
}
