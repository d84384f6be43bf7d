package ci

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sethvargo/go-githubactions"

	"github.com/mrelease/mrelease/printable"
)

// github is GitHub Actions, and act, which emulates it without all of its files.
// Within a group its runner takes no commands: somebody's build prints there. They are
// stopped with a word that nobody can guess, and for each command of ours begun again.
type github struct {
	getenv   func(string) string
	w        *printable.Writer
	emulated bool // by act, which throws a summary away

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

// maxAnnotations is how many errors of a step GitHub shows.
const maxAnnotations = 10

// Failed prints the message as the job's annotation, and one at each place.
func (g *github) Failed(message string, at []At) {
	commands := []githubactions.Command{{Name: "error", Message: printable.Lines(message)}}
	for _, a := range at[:min(len(at), maxAnnotations-1)] {
		properties := githubactions.CommandProperties{"file": printable.Text(g.inWorkspace(a.File))}
		if a.Line > 0 {
			properties["line"] = strconv.Itoa(a.Line)
		}
		if a.Column > 0 {
			properties["col"] = strconv.Itoa(a.Column)
		}
		commands = append(commands, githubactions.Command{Name: "error", Properties: properties, Message: printable.Lines(a.Text)})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.command(commands...)
}

// inWorkspace returns a file's path as GitHub's pages have it: below the workspace.
func (g *github) inWorkspace(file string) string {
	absolute, err := filepath.Abs(file)
	if err != nil {
		return file
	}
	path, err := filepath.Rel(g.getenv("GITHUB_WORKSPACE"), absolute)
	if err != nil || !filepath.IsLocal(path) {
		return file
	}
	return filepath.ToSlash(path)
}

// JUnit does nothing: GitHub has no page for test reports.
func (*github) JUnit([]byte) error { return nil }

// Outputs writes each value between two lines that it cannot hold: nobody knows them
// before.
func (g *github) Outputs(values []Output) error {
	var lines strings.Builder
	for _, o := range values {
		delimiter := "end-" + rand.Text()
		fmt.Fprintf(&lines, "%s<<%s\n%s\n%s\n", o.Name, delimiter, o.Value, delimiter)
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
	if !there || g.emulated {
		fmt.Fprintln(g.w, markdown)
	}
	return err
}

// The variables with the names of the runner's files.
const (
	outputFile  = "GITHUB_OUTPUT"
	summaryFile = "GITHUB_STEP_SUMMARY"
)

// Ready does not look at the values: an output can hold any.
func (g *github) Ready(...Output) error {
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
