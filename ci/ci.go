// Package ci is what a CI system is told, and how: GitHub Actions, or none. A second
// system is a second implementation of Reporter and a line in New.
package ci

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/sethvargo/go-githubactions"

	"github.com/mrelease/mrelease/printable"
)

// Reporter is what a CI system is told.
type Reporter interface {
	Mask(secret string) // never show this text, nor what it looks like in base64, hex or a URL
	// Group folds what is printed until end. None of it is a command, whatever it
	// says.
	Group(name string) (end func())
	// Ready makes sure that what the job is to be told can be written: later steps
	// would take an output that is missing for an empty one.
	Ready() error
	Outputs(values map[string]string) error // for later steps of the job
	Summary(markdown string) error          // for the job's page
	Failed(message string)                  // why the job ends
}

// New returns the reporter of the system that the environment tells of. What it is
// told through the log goes to w.
func New(getenv func(string) string, w *printable.Writer) Reporter {
	if getenv("GITHUB_ACTIONS") == "true" {
		return &github{getenv: getenv, w: w}
	}
	return plain{}
}

// plain is no CI system: a terminal, or a job that only keeps the log.
type plain struct{}

func (plain) Mask(string)                     {}
func (plain) Group(string) func()             { return func() {} }
func (plain) Ready() error                    { return nil }
func (plain) Outputs(map[string]string) error { return nil }
func (plain) Summary(string) error            { return nil }
func (plain) Failed(string)                   {}

// github is GitHub Actions, and act, which emulates it without all of its files.
// Within a group its runner takes no commands: somebody's build prints there. They are
// stopped with a word that nobody can guess, and for each command of ours begun again.
type github struct {
	getenv func(string) string
	w      *printable.Writer

	mu     sync.Mutex
	groups int    // that are open
	word   string // that begins commands again; empty while they are taken
}

// command writes commands, as one, and leaves commands stopped while a group is open.
func (g *github) command(commands ...githubactions.Command) {
	if g.word != "" {
		commands = slices.Insert(commands, 0, githubactions.Command{Name: g.word})
		g.word = ""
	}
	if g.groups > 0 {
		g.word = rand.Text()
		commands = append(commands, githubactions.Command{Name: "stop-commands", Message: g.word})
	}
	var lines strings.Builder
	for _, c := range commands {
		fmt.Fprintln(&lines, c.String())
	}
	_ = g.w.Verbatim(lines.String()) // who reads the log is not there any more
}

func (g *github) Mask(secret string) {
	var masks []githubactions.Command
	for _, text := range printable.Disguises(secret) {
		masks = append(masks, githubactions.Command{Name: "add-mask", Message: text})
	}
	if len(masks) == 0 { // too short to be looked for, but asked for
		masks = append(masks, githubactions.Command{Name: "add-mask", Message: secret})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.command(masks...)
}

func (g *github) Group(name string) func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.groups++
	g.command(githubactions.Command{Name: "group", Message: printable.Text(name)})
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.groups--
		g.command(githubactions.Command{Name: "endgroup"})
	}
}

// Failed prints the message as the job's annotation.
func (g *github) Failed(message string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.command(githubactions.Command{Name: "error", Message: printable.Lines(message)})
}

// Outputs writes each value between two lines that it cannot hold: nobody knows them
// before.
func (g *github) Outputs(values map[string]string) error {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		delimiter := "end-" + rand.Text()
		fmt.Fprintf(&lines, "%s<<%s\n%s\n%s\n", name, delimiter, values[name], delimiter)
	}
	_, err := g.appendTo(outputFile, lines.String())
	return err
}

// maxSummary is GitHub's limit for one step; a larger summary is dropped whole.
const maxSummary = 1 << 20

func (g *github) Summary(markdown string) error {
	markdown = printable.Lines(markdown)
	if len(markdown) > maxSummary {
		markdown = strings.ToValidUTF8(markdown[:maxSummary-100], "") + "\n\n(cut off at GitHub's limit of 1 MiB)\n"
	}
	there, err := g.appendTo(summaryFile, markdown+"\n")
	if !there {
		fmt.Fprintln(g.w, markdown)
	}
	return err
}

// The variables with the names of the runner's files.
const (
	outputFile  = "GITHUB_OUTPUT"
	summaryFile = "GITHUB_STEP_SUMMARY"
)

func (g *github) Ready() error {
	_, outputs := g.appendTo(outputFile, "")
	_, summary := g.appendTo(summaryFile, "")
	return errors.Join(outputs, summary)
}

// appendTo appends to one of the runner's files, and reports whether there is one: act
// has not all of them.
func (g *github) appendTo(variable, text string) (there bool, err error) {
	path := g.getenv(variable)
	if path == "" {
		return false, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return true, fmt.Errorf("telling GitHub, in the file of %s: %w", variable, err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return true, fmt.Errorf("telling GitHub, in the file of %s: %w", variable, err)
	}
	return true, nil
}

// Code writes a value as code in a cell of a table in markdown, where it is nothing
// else: no other cell, no end of the code, no markup.
func Code(value string) string {
	value = strings.ReplaceAll(printable.Text(value), "|", `\|`)
	fence := "`"
	for strings.Contains(value, fence) {
		fence += "`"
	}
	if strings.HasPrefix(value, "`") || strings.HasSuffix(value, "`") {
		value = " " + value + " " // markdown takes these away
	}
	return fence + value + fence
}

// Word quotes a text that is no plain word, for a command that users copy: a file's name
// can hold another command.
func Word(text string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`).MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
