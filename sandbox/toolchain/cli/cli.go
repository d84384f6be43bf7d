// Package cli reads command lines as SCONE's tools do: options may stand before,
// between and after the other arguments, as scripts in use write them, and an
// argument @file stands for the lines of that file.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Option is a flag of a command.
type Option struct {
	Names []string // its spellings, the long one first
	Value bool     // it takes a value
	Many  bool     // it may be given more than once
}

// Command is one command with its syntax.
type Command struct {
	Usage   string
	Options []Option
	Least   int // number of positional arguments
	Most    int
	Run     func(a Arguments) error
}

// Arguments are a command line taken apart.
type Arguments struct {
	Options    map[string][]string // values by the long name; that of a flag is "true"
	Positional []string
}

// Has reports whether an option was given.
func (a Arguments) Has(name string) bool { return len(a.Options[name]) > 0 }

// Get returns an option's value, or "" when it was not given.
func (a Arguments) Get(name string) string {
	if !a.Has(name) {
		return ""
	}
	return a.Options[name][0]
}

// At returns a positional argument, or "" when it was left out.
func (a Arguments) At(i int) string {
	if i < len(a.Positional) {
		return a.Positional[i]
	}
	return ""
}

// UsageError is a wrong use of the command line.
type UsageError struct {
	Problem string
	Usage   string // of the command, when it is known
}

func (e *UsageError) Error() string { return e.Problem }

// Errorf makes a UsageError; the command that returns it adds its usage.
func Errorf(format string, args ...any) error {
	return &UsageError{Problem: fmt.Sprintf(format, args...)}
}

// Execute parses args and runs the command, or prints its usage when that is
// asked for. Its error is a *UsageError when the arguments are wrong.
func (c Command) Execute(stdout io.Writer, args []string) error {
	err := c.execute(stdout, args)
	var usage *UsageError
	if errors.As(err, &usage) {
		usage.Usage = c.Usage
	}
	return err
}

func (c Command) execute(stdout io.Writer, args []string) error {
	a, err := Parse(args, append(slices.Clone(c.Options), Option{Names: []string{"--help", "-h"}}))
	switch {
	case err != nil:
		return err
	case a.Has("--help"):
		_, err := fmt.Fprintf(stdout, "USAGE:\n    %s\n", c.Usage)
		return err
	case len(a.Positional) < c.Least:
		return Errorf("The required arguments were not all provided")
	case len(a.Positional) > c.Most:
		return Errorf("Found argument '%s' which wasn't expected", a.Positional[c.Most])
	}
	return c.Run(a)
}

// Parse takes a command line apart. Its error is a *UsageError.
func Parse(args []string, options []Option) (Arguments, error) {
	a := Arguments{Options: map[string][]string{}}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			a.Positional = append(a.Positional, args...)
			break
		}
		if !isOption(arg) {
			a.Positional = append(a.Positional, arg)
			continue
		}
		rest, err := a.take(arg, args, options)
		if err != nil {
			return a, err
		}
		args = rest
	}
	return a, nil
}

// Leading takes the options that stand before the first other argument, and
// returns that and what follows. Its error is a *UsageError.
func Leading(args []string, options []Option) (Arguments, []string, error) {
	a := Arguments{Options: map[string][]string{}}
	for len(args) > 0 && isOption(args[0]) {
		rest, err := a.take(args[0], args[1:], options)
		if err != nil {
			return a, nil, err
		}
		args = rest
	}
	return a, args, nil
}

func isOption(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// take takes one option, and its value from arg (--name=value) or from the
// arguments that follow; it returns what is left of these.
func (a *Arguments) take(arg string, following []string, options []Option) ([]string, error) {
	name, value, inline := strings.Cut(arg, "=")
	i := slices.IndexFunc(options, func(o Option) bool { return slices.Contains(o.Names, name) })
	if i < 0 || inline && !options[i].Value {
		return nil, Errorf("Found argument '%s' which wasn't expected", arg)
	}
	o := options[i]
	switch {
	case a.Has(o.Names[0]) && !o.Many:
		return nil, Errorf("The argument '%s' was provided more than once", name)
	case !o.Value:
		value = "true"
	case !inline && len(following) == 0:
		return nil, Errorf("The argument '%s' requires a value but none was supplied", name)
	case !inline:
		value, following = following[0], following[1:]
	}
	a.Options[o.Names[0]] = append(a.Options[o.Names[0]], value)
	return following, nil
}

// maxDepth bounds argument files that name each other.
const maxDepth = 16

// Expand replaces each argument @file by the lines of that file, recursively.
func Expand(args []string) ([]string, error) { return expand(args, 0) }

func expand(args []string, depth int) ([]string, error) {
	var all []string
	for _, arg := range args {
		file, ok := strings.CutPrefix(arg, "@")
		if !ok {
			all = append(all, arg)
			continue
		}
		if depth == maxDepth {
			return nil, fmt.Errorf("reading argument file %s: too many levels", file)
		}
		content, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			return nil, fmt.Errorf("reading argument file: %w", err)
		}
		lines, err := expand(strings.Split(strings.TrimRight(string(content), "\r\n"), "\n"), depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	return all, nil
}
