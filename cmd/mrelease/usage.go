package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mrelease/mrelease/preflight"
	"github.com/mrelease/mrelease/settings"
)

// usageError is a wrong use of the command line.
type usageError struct {
	err     error
	command string
	try     string // the command that was probably meant; "" for its help
}

func misused(command, format string, args ...any) *usageError {
	return &usageError{err: fmt.Errorf(format, args...), command: command}
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Evidence returns which command it was.
func (e *usageError) Evidence() [][2]string { return [][2]string{{"command", e.command}} }

// Remedy returns the command to try.
func (e *usageError) Remedy() string { return cmp.Or(e.try, e.command+" --help") }

// usage makes a usageError of what a check of the arguments finds.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if check(c, args) == nil {
			return nil
		}
		e := misused(c.CommandPath(), "want %s, got %s", c.UseLine(), cmp.Or(strings.Join(args, " "), "no argument"))
		if len(args) > 0 && c.Flags().Lookup("version") != nil && isVersion(args[0]) {
			e.try = c.CommandPath() + " --version " + args[0]
		}
		return e
	}
}

// isVersion tells what is given as --version from what may be a command.
func isVersion(arg string) bool { return regexp.MustCompile(`^v?[0-9]+\.[0-9.]+`).MatchString(arg) }

// group is a command that only has others.
func group(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	e := misused(c.CommandPath(), "unknown command %q", args[0])
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		e = misused(c.CommandPath(), "unknown command %q, did you mean %s?", args[0], near[0])
		e.try = c.CommandPath() + " " + near[0]
	} else if isVersion(args[0]) {
		e.try = "mrelease release --version " + args[0]
	}
	return e
}

// flagError says what is wrong with a flag, in this program's words.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		var known []string
		c.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := settings.Nearest(unknown.GetSpecifiedName(), known); near != "" {
			return misused(c.CommandPath(), "%w, did you mean --%s?", err, near)
		}
	case errors.As(err, &invalid):
		kinds := map[string]string{"bool": "true or false", "int": "a whole number", "int64": "a whole number", "uint64": "a whole number that is not negative"}
		f := invalid.GetFlag()
		return misused(c.CommandPath(), "--%s: want %s, got %q", f.Name, cmp.Or(kinds[f.Value.Type()], f.Value.Type()), invalid.GetValue())
	}
	return misused(c.CommandPath(), "%w", err)
}

// checkUse is what all commands check before they begin. A flag whose value is empty
// is a variable that was not set: left out, it would mean something else.
func (a *app) checkUse(c *cobra.Command) (err error) {
	c.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains([]string{"", "[]"}, f.Value.String()) {
			err = misused(c.CommandPath(), "--%s has an empty value: leave it out, or give it one", f.Name)
		}
	})
	name, above := c.Name(), c.Parent()
	if isScript := above != nil && above.Name() == "completion"; isScript && a.json {
		return misused(c.CommandPath(), "a completion is a script: it has no --json")
	} else if err != nil || above == nil || isScript || slices.Contains([]string{"version", "init", "help", "completion"}, name) {
		return err
	}
	return preflight.CheckCredentials(a.getenv)
}

// helpCommand is cobra's, which has no error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return group(cmp.Or(about, c.Root()), rest)
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// helpAnswer is what --help prints with --json.
type helpAnswer struct {
	Schema  string `json:"schema"`
	Command string `json:"command"`
	Help    string `json:"help"`
}

// help prints the help as one document.
func (a *app) help(c *cobra.Command, _ []string) {
	_ = printJSON(a.stdout, helpAnswer{"mrelease.help/v1", c.CommandPath(), c.Long + "\n\n" + c.UsageString()}) // what fails is kept by stdout
}
