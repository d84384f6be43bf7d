package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/live"
	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/release"
)

// What is printed where: standard output carries the answer and nothing else (a
// digest, a path, one JSON document with --json), standard error the story
// (steps, the tools' own output, errors). Colours and BuildKit's display are
// for terminals. Secrets are never printed; a CI system is told to mask them
// before their first use. Text from outside is shown as package printable makes it:
// both streams are its Writers.

// story tells on standard error what happens: a line for each step, with its
// time and the evidence for it.
type story struct {
	w     *printable.Writer
	color bool
	ci    ci.Reporter
	live  *live.Display // nil: no terminal whose cursor moves
	steps *[]page.Step  // that ended
	app   string        // of several, that it is about; else empty
	mu    *sync.Mutex   // held while it is told how a step ended
}

// of is the story of one of several apps, at the same time as those of the others.
func (s story) of(app string) story {
	s.app = app
	return s
}

func (s story) named(text string) string { return strings.TrimPrefix(s.app+" "+text, " ") }

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
	start, end, hide := time.Now(), func() {}, func() {}
	if s.app == "" { // steps of several apps cannot be folded: they go on beside each other
		end = s.ci.Group(name)
	}
	name = s.named(name)
	if s.live != nil {
		hide = s.live.Begin(name)
	}
	return func(evidence string, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		hide()
		defer end() // a group holds how the step ended: many print nothing else
		*s.steps = append(*s.steps, page.Step{Name: name, Took: time.Since(start), Evidence: evidence, Err: err})
		mark, color := "✓", green
		if err != nil {
			mark, color, evidence = "✗", red, "failed"
		}
		if errors.Is(err, context.Canceled) {
			evidence = "interrupted"
		}
		s.note("%s %-12s %5.2f s  %s", s.paint(color, mark), name, time.Since(start).Seconds(), evidence)
	}
}

// Found implements release.Teller; a plan has lines of its own.
func (s story) Found(f release.Finding) { s.note("%s %s", f.Name, f.Evidence) }

// Note implements release.Teller.
func (s story) Note(text string) { s.note("%s", s.named(text)) }

// note tells something beside the steps. A terminal that is gone is no reason to stop.
func (s story) note(format string, args ...any) { _ = s.w.Printf(format+"\n", args...) }

// patience is after how long it is told how far something is, again and again.
const patience = 10 * time.Second

// progress returns a function that tells how far something is, now and then.
func (s story) progress() func(text string) {
	last := time.Now()
	var telling sync.Mutex
	return func(text string) {
		telling.Lock()
		defer telling.Unlock()
		if time.Since(last) >= patience {
			s.note("… %s", s.named(text))
			last = time.Now()
		}
	}
}

// running returns a function that tells now and then which step of a build runs.
func (s story) running() func(steps []string) {
	tell := s.progress()
	return func(steps []string) {
		if len(steps) > 0 {
			tell("building: " + steps[0])
		}
	}
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint colours a word of our own.
func (s story) paint(color, word string) printable.Own {
	if !s.color {
		return printable.Own(word)
	}
	return printable.Own("\x1b[" + color + "m" + word + "\x1b[0m")
}

// lines is where a command prints an answer of several lines: standard output,
// unless that is kept for the one document.
func (a *app) lines() story {
	if a.json {
		return a.story
	}
	return story{w: a.stdout, color: a.painted, ci: a.story.ci, steps: a.story.steps, mu: a.story.mu, app: a.story.app}
}

// printJSON writes an answer's document.
func printJSON(w io.Writer, document any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(document); err != nil {
		return fmt.Errorf("encoding answer: %w", err)
	}
	_, err := w.Write(printable.JSON(text.Bytes()))
	return err
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
	// Parts are those of a release that did not come to its end.
	Parts []release.Part `json:"parts,omitempty"`
}

// rows are the evidence, and each part.
func (f failure) rows() []fact {
	rows := slices.Clone(f.Evidence)
	for _, p := range f.Parts {
		rows = append(rows, fact{p.Name, p.String()})
	}
	return rows
}

type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// write prints a failure for people.
func (f failure) write(s story) {
	s.note("%s %s", s.paint(red, f.Code+":"), f.What)
	width := 0
	for _, e := range f.rows() {
		width = max(width, len(e.Name))
	}
	for _, e := range f.rows() {
		name := e.Name
		for line := range strings.SplitSeq(strings.TrimRight(e.Value, "\n"), "\n") {
			s.note("  %-*s  %s", width, name, line)
			name = ""
		}
	}
	s.note("  %-*s  %s", width, "remedy", f.Remedy)
}

// check tells how a check of verify ended, and by whose word.
func (s story) check(c record.Check) {
	mark, color := "✓", green
	switch {
	case record.Unchecked(c.Err):
		mark, color = "–", yellow
	case c.Err != nil:
		mark, color = "✗", red
	case c.Word == record.Absent:
		mark, color = "–", yellow
	}
	*s.steps = append(*s.steps, page.Step{Name: c.Name, Took: c.Took, Evidence: c.String(), Err: c.Err, Open: record.Unchecked(c.Err), Absent: c.Word == record.Absent})
	s.note("%s %-16s %6.2f s  %s", s.paint(color, mark), c.Name, c.Took.Seconds(), shortened(c.String()))
}
