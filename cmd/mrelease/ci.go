package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// reporter is what a CI system is told. A second system is a second
// implementation and a line in newReporter.
type reporter interface {
	mask(secret string)               // never show this text
	group(name string) (end func())   // fold what is printed until end
	outputs(values map[string]string) // for later steps of the job
	summary(markdown string)          // for the job's page
	failed(f failure)                 // why the job ends
}

func newReporter(getenv func(string) string, w io.Writer) reporter {
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

func (plain) mask(string)               {}
func (plain) group(string) func()       { return func() {} }
func (plain) outputs(map[string]string) {}
func (plain) summary(string)            {}
func (plain) failed(failure)            {}

// github is GitHub Actions, and act, which emulates it without all of its files.
type github struct {
	action *githubactions.Action
	getenv func(string) string
	w      io.Writer
}

func (g github) mask(secret string) { g.action.AddMask(secret) }

func (g github) group(name string) func() {
	g.action.Group(name)
	return g.action.EndGroup
}

func (g github) outputs(values map[string]string) {
	if !g.has("GITHUB_OUTPUT") {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		g.action.SetOutput(name, values[name])
	}
}

// maxSummary is GitHub's limit for one step; a larger summary is dropped whole.
const maxSummary = 1 << 20

func (g github) summary(markdown string) {
	if len(markdown) > maxSummary {
		markdown = strings.ToValidUTF8(markdown[:maxSummary-100], "") + "\n\n(cut off at GitHub's limit of 1 MiB)\n"
	}
	if g.has("GITHUB_STEP_SUMMARY") {
		g.action.AddStepSummary(markdown)
		return
	}
	fmt.Fprintln(g.w, markdown)
}

func (g github) failed(f failure) {
	g.action.Errorf("%s: %s. %s", f.Code, f.What, f.Remedy)
}

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
