// Package ci is what a CI system is told, and how: GitHub Actions, or none. A second
// system is a second implementation of Reporter and a line in New.
package ci

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// Reporter is what a CI system is told.
type Reporter interface {
	Mask(secret string)               // never show this text
	Group(name string) (end func())   // fold what is printed until end
	Outputs(values map[string]string) // for later steps of the job
	Summary(markdown string)          // for the job's page
	Failed(message string)            // why the job ends
}

// New returns the reporter of the system that the environment tells of. What it is
// told through the log goes to w.
func New(getenv func(string) string, w io.Writer) Reporter {
	if getenv("GITHUB_ACTIONS") == "true" {
		return github{
			action: githubactions.New(githubactions.WithGetenv(getenv), githubactions.WithWriter(w)),
			getenv: getenv, w: w,
		}
	}
	return plain{}
}

// plain is no CI system: a terminal, or a job that only keeps the log.
type plain struct{}

func (plain) Mask(string)               {}
func (plain) Group(string) func()       { return func() {} }
func (plain) Outputs(map[string]string) {}
func (plain) Summary(string)            {}
func (plain) Failed(string)             {}

// github is GitHub Actions, and act, which emulates it without all of its files.
type github struct {
	action *githubactions.Action
	getenv func(string) string
	w      io.Writer
}

func (g github) Mask(secret string) { g.action.AddMask(secret) }

func (g github) Group(name string) func() {
	g.action.Group(name)
	return g.action.EndGroup
}

func (g github) Outputs(values map[string]string) {
	if !g.has("GITHUB_OUTPUT") {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		g.action.SetOutput(name, values[name])
	}
}

// maxSummary is GitHub's limit for one step; a larger summary is dropped whole.
const maxSummary = 1 << 20

func (g github) Summary(markdown string) {
	if len(markdown) > maxSummary {
		markdown = strings.ToValidUTF8(markdown[:maxSummary-100], "") + "\n\n(cut off at GitHub's limit of 1 MiB)\n"
	}
	if g.has("GITHUB_STEP_SUMMARY") {
		g.action.AddStepSummary(markdown)
		return
	}
	fmt.Fprintln(g.w, markdown)
}

func (g github) Failed(message string) { g.action.Errorf("%s", message) }

// has reports whether a command file is there and can be written: the library
// panics on one that cannot.
func (g github) has(variable string) bool {
	path := g.getenv(variable)
	if path == "" {
		return false
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return false
	}
	return f.Close() == nil
}
