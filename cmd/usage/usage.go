// Package usage says what is wrong with a command line, and what was probably meant: for
// commands of cobra, in place of its own words and where it has none.
package usage

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mrelease/mrelease/settings"
)

// Error is a wrong use of the command line.
type Error struct {
	err     error
	command string
	Try     string // what was probably meant, or mends it; "" for the command's help
}

// Errorf returns an Error of a command, with its path.
func Errorf(command, format string, args ...any) *Error {
	return &Error{err: fmt.Errorf(format, args...), command: command}
}

func (e *Error) Error() string { return e.err.Error() }
func (e *Error) Unwrap() error { return e.err }

// Evidence returns which command it was.
func (e *Error) Evidence() [][2]string { return [][2]string{{"command", e.command}} }

// Remedy returns the command to try.
func (e *Error) Remedy() string { return cmp.Or(e.Try, e.command+" --help") }

// ToldError is a failure that the command's own document tells of: standard output
// carries no second one.
type ToldError struct{ Err error }

func (e ToldError) Error() string { return e.Err.Error() }
func (e ToldError) Unwrap() error { return e.Err }

// Told returns err as it is, or as a ToldError when a document told of it.
func Told(err error, document bool) error {
	if document {
		return ToldError{err}
	}
	return err
}

// Args makes an Error of what a check of the arguments finds.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if check(c, args) == nil {
			return nil
		}
		if !strings.Contains(c.Use, " ") {
			return noArgument(c, args)
		}
		return Errorf(c.CommandPath(), "want %s, got %s", c.UseLine(), cmp.Or(strings.Join(args, " "), "no argument"))
	}
}

// noArgument says which flag was forgotten.
func noArgument(c *cobra.Command, args []string) error {
	e := Errorf(c.CommandPath(), "%s takes no argument, got %s", c.CommandPath(), strings.Join(args, " "))
	info, err := os.Stat(args[0])
	switch {
	case c.Flags().Lookup("version") != nil && isVersion(args[0]):
		e.Try = c.CommandPath() + " --version " + args[0]
	case c.Flags().Lookup("context") != nil && err == nil && info.IsDir():
		e.Try = c.CommandPath() + " --context " + args[0]
	}
	return e
}

// isVersion tells what is given as --version from what may be a command.
func isVersion(arg string) bool { return regexp.MustCompile(`^v?[0-9]+\.[0-9.]+`).MatchString(arg) }

// Group is what a command does that only has others.
func Group(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	e := Errorf(c.CommandPath(), "unknown command %q", args[0])
	if near := meant(c, args[0]); near != "" {
		e = Errorf(c.CommandPath(), "unknown command %q, did you mean %s?", args[0], near)
		e.Try = c.CommandPath() + " " + near
	} else if isVersion(args[0]) {
		e.Try = "mrelease release --version " + args[0]
	}
	return e
}

// meant returns which command was meant: one that others call so, one that begins so, or a
// misspelt one; "" for none.
func meant(c *cobra.Command, written string) string {
	for _, command := range c.Commands() {
		if slices.Contains(command.SuggestFor, strings.ToLower(written)) {
			return command.Name()
		}
	}
	near := c.SuggestionsFor(written)
	if i := slices.IndexFunc(near, func(name string) bool { return strings.HasPrefix(name, strings.ToLower(written)) }); i >= 0 {
		return near[i]
	}
	return settings.Nearest(written, near)
}

// Misnamed says which command is none whose help is asked for: cobra shows the help of the
// one above it, and ends with 0.
func Misnamed(root *cobra.Command, args []string) error {
	c, rest, err := root.Find(args)
	asked := slices.Contains(rest, "--help") || slices.Contains(rest, "-h")
	if err != nil || !asked || !c.HasSubCommands() || strings.HasPrefix(rest[0], "-") || strings.HasPrefix(rest[0], "_") || rest[0] == "help" || rest[0] == "completion" {
		return nil
	}
	return Group(c, rest)
}

const notNegative = "a whole number that is not negative"

// FlagError says what is wrong with a flag, in this program's words.
func FlagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		written := unknown.GetSpecifiedName()
		if letters := unknown.GetSpecifiedShortnames(); len(letters) > 1 { // -version
			written, _, _ = strings.Cut(letters, "=")
		}
		if near := flagsLike(c, written); near != "" {
			return Errorf(c.CommandPath(), "%w, did you mean %s?", err, near)
		}
	case errors.As(err, &invalid):
		kinds := map[string]string{"bool": "true or false", "int": "a whole number", "int64": "a whole number", "uint": notNegative, "uint64": notNegative}
		f := invalid.GetFlag()
		if f.Value.Type() == "" { // it knows its words itself
			return Errorf(c.CommandPath(), "--%s: %w", f.Name, errors.Unwrap(invalid))
		}
		return Errorf(c.CommandPath(), "--%s: want %s, got %q", f.Name, cmp.Or(kinds[f.Value.Type()], f.Value.Type()), invalid.GetValue())
	}
	return Errorf(c.CommandPath(), "%w", err)
}

// flagsLike returns the flags that a name was probably meant for: one that is misspelt, or
// what begins with it, as other programs take --vers and -v.
func flagsLike(c *cobra.Command, written string) string {
	var known, begun []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		known = append(known, f.Name)
		if strings.HasPrefix(f.Name, strings.ToLower(written)) {
			begun = append(begun, "--"+f.Name)
		}
	})
	if near := settings.Nearest(written, known); near != "" && len(written) > 1 {
		return "--" + near
	}
	if len(begun) > 3 { // that is no hint
		return ""
	}
	return strings.Join(begun, " or ")
}

// Check refuses a flag whose value is empty, which is a variable that was not set: left
// out, the flag would mean something else; and one that is none of the flag's words. And
// a completion is no document.
func Check(c *cobra.Command) (err error) {
	if above := c.Parent(); above != nil && above.Name() == "completion" && c.Flags().Changed("json") {
		return Errorf(c.CommandPath(), "a completion is a script: it has no --json")
	}
	c.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains([]string{"", "[]"}, f.Value.String()) {
			err = Errorf(c.CommandPath(), "--%s has an empty value: leave it out, or give it one", f.Name)
		} else if f.Name == "progress" && !slices.Contains(progress(), f.Value.String()) {
			err = Errorf(c.CommandPath(), "--progress: want one of %s, got %q", strings.Join(progress(), ", "), f.Value)
		}
	})
	return err
}

// Help is cobra's command of that name, which has no error.
func Help() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return Group(cmp.Or(about, c.Root()), rest)
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
