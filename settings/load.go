package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/bounds"
)

// An Error holds all that is wrong with a configuration.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "the configuration has a problem"
	}
	return fmt.Sprintf("the configuration has %d problems", len(e.Problems))
}

// Problems returns what an error says is wrong with a configuration; nil for another error.
func Problems(err error) []Problem {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Problems
	}
	return nil
}

// Unset returns the variables of the environment that are not set.
func (e *Error) Unset() []string {
	var names []string
	for _, p := range e.Problems {
		if p.Unset != "" {
			names = append(names, p.Unset)
		}
	}
	return names
}

// First names the first problem, and how many more there are.
func (e *Error) First() string {
	if more := len(e.Problems) - 1; more > 0 {
		return fmt.Sprintf("%s (and %d more)", e.Problems[0], more)
	}
	return e.Problems[0].String()
}

// Remedy says what mends the problems: their cures, and else to correct their places.
func (e *Error) Remedy() string {
	var cures []string
	for _, p := range e.Problems {
		cures = append(cures, cmp.Or(p.Cure, "correct the places above; docs/configuration.md lists every key, mrelease check --schema too"))
	}
	slices.Sort(cures)
	return strings.Join(slices.Compact(cures), "; ")
}

// maxTold is how many problems are told: a file may have thousands.
const maxTold = 100

// Evidence returns each problem with its place, up to a hundred.
func (e *Error) Evidence() [][2]string {
	var facts [][2]string
	for i, p := range e.Problems {
		if i == maxTold {
			return append(facts, [2]string{"and", fmt.Sprintf("%d more", len(e.Problems)-i)})
		}
		what := p.Text
		if p.Key != "" {
			what = p.Key + ": " + what
		}
		facts = append(facts, [2]string{p.Where, what})
	}
	return facts
}

// Sources are what a configuration is read from, the later ones overriding.
type Sources struct {
	Files  []string            // YAML, each overriding the ones before it key by key
	Getenv func(string) string // MRELEASE_BUILD_CONTEXT for build.context
	Flags  map[string]string   // by key, such as build.context
	Only   []string            // names of the apps that are meant, where there are several; all, when it is empty
}

// Purpose says which parts of the configuration a command needs. App is what is about one
// app, and needs neither of the others.
type Purpose struct{ Build, Publish, App bool }

// Load reads and checks a configuration of one app, or of several of which one is chosen.
// What neither builds nor publishes needs no choice: it is about what the apps have in
// common. Its error is an [*Error] with every problem. It looks at local files only.
func Load(from Sources, need Purpose) (Settings, error) {
	c := Read(from)
	apps := c.Apps()
	switch {
	case len(apps) == 1:
		apps[0].Check(need)
		return apps[0].Settings, c.Err()
	case need == Purpose{}:
		c.Check(need)
		return c.Settings, asError(c.Problems)
	case len(c.Problems) == 0:
		return Settings{}, c.oneOf()
	}
	return Settings{}, c.Err()
}

// ReadOne is [Read] of the configuration of one app, or of several of which one is chosen.
func ReadOne(from Sources) (*Checker, error) {
	c := Read(from)
	switch apps := c.Apps(); {
	case len(apps) == 1:
		return apps[0], nil
	case len(c.Problems) == 0:
		return nil, c.oneOf()
	}
	return nil, c.Err()
}

// LoadAll is [Load] for all apps that are chosen, of which there is at least one.
func LoadAll(from Sources, need Purpose) (all []Settings, err error) {
	c := Read(from)
	for _, app := range c.Apps() {
		app.Check(need)
		all = append(all, app.Settings)
	}
	return all, c.Err()
}

// Read decodes a configuration and keeps what is wrong with it.
func Read(from Sources) *Checker {
	c := &Checker{Settings: Defaults(), Files: from.Files, decoder: &decoder{places: map[string]string{}}}
	for _, f := range from.Files {
		c.layer(func() { c.readFile(f) })
	}
	c.overridden(from)
	c.each(from)
	return c
}

// overridden takes what environment and flags say.
func (c *Checker) overridden(from Sources) {
	c.layer(func() { c.override(&c.Settings, environment(from.Getenv)) })
	c.layer(func() {
		c.override(&c.Settings, func(key string) (string, string, bool) {
			v, ok := from.Flags[key]
			return v, "flag --" + key[strings.LastIndex(key, ".")+1:], ok
		})
	})
}

func (c *Checker) readFile(path string) {
	if err := c.file(path, &c.Settings); err != nil {
		c.unread = true
		c.Problems = append(c.Problems, Problem{Where: path, Text: Reason(err), Cure: "name a file with --config that is there and that you may read" + others(path, "*.yaml", "*.yml")})
	}
}

// Reason says why a file cannot be read, without the path, which stands beside it.
func Reason(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "there is no such file"
	}
	var larger *bounds.Error
	if errors.As(err, &larger) {
		return larger.Reason()
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// environment looks a key up as MRELEASE_BUILD_CONTEXT, and under no other name: a CI
// system sets INPUT_NAME and the like for whatever action runs around this program. A
// variable that is empty is not set, as GitHub passes inputs that were left out.
func environment(getenv func(string) string) func(string) (string, string, bool) {
	return func(key string) (string, string, bool) {
		variable := variableOf(key)
		value := getenv(variable)
		return value, "environment " + variable, value != ""
	}
}
