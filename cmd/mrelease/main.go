// Command mrelease builds a container image that runs in an SGX enclave,
// measures the enclave, pushes and signs the image, registers it as an app on
// iExec's contracts and offers it on iExec's market.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/preflight"
	"github.com/mrelease/mrelease/printable"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	a := newApp(getenv, stdout, stderr)
	defer a.flush()
	root := a.command()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.story.w)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	f := explain(err)
	f.write(a.story)
	a.story.ci.Failed(fmt.Sprintf("%s: %s. %s", f.Code, f.What, f.Remedy))
	if a.json && !is[toldError](err) {
		if err := printJSON(a.stdout, f); err != nil {
			a.story.note("printing the error: %v", err)
		}
	}
	return f.Exit
}

// app is what all commands share.
type app struct {
	getenv func(string) string
	stdout *printable.Writer
	story  story

	terminal io.Writer // standard error, for a display that moves the cursor
	painted  bool      // standard output is a terminal with colours

	json   bool
	config []string
	build  buildFlags

	hashLimit uint64 // GiB that measuring a file may hash
}

// newApp puts a printable.Writer before each of the streams: whatever is shown goes
// through it.
func newApp(getenv func(string) string, stdout, stderr io.Writer) *app {
	colors := getenv("NO_COLOR") == ""
	told := printable.NewWriter(stderr)
	return &app{
		getenv: getenv, stdout: printable.NewWriter(stdout), painted: isTerminal(stdout) && colors, terminal: stderr,
		story: story{w: told, color: isTerminal(stderr) && colors, ci: ci.New(getenv, told)},
	}
}

// flush shows a last line that was not ended.
func (a *app) flush() { _ = errors.Join(a.stdout.Flush(), a.story.w.Flush()) }

// usageError is a wrong use of the command line.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Evidence returns which command it was.
func (e *usageError) Evidence() [][2]string { return [][2]string{{"command", e.command}} }

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "mrelease",
		Short: "Release SGX enclaves like ordinary software",
		Long: `mrelease builds a container image that runs in an SGX enclave, measures the
enclave, pushes and signs the image, registers it as an app on iExec's contracts
and offers it on iExec's market. Running a release again finishes or confirms it.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print the answer, or the error, as one JSON document")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{err, c.CommandPath()} })
	for _, c := range []*cobra.Command{a.initCommand(), a.checkCommand(), a.doctorCommand(), a.planCommand(), a.releaseCommand(), a.buildCommand(), a.measureCommand(), a.reproduceCommand(), a.acceptCommand(), a.explainCommand(), a.verifyCommand(), a.versionCommand()} {
		c.Args = usage(c.Args)
		root.AddCommand(c)
	}
	root.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return &usageError{fmt.Errorf("unknown command %q", args[0]), c.CommandPath()}
		}
		return c.Help()
	}
	root.Args = cobra.ArbitraryArgs
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if c.Name() == "version" || c.Name() == "init" {
			return nil
		}
		return preflight.CheckCredentials(a.getenv)
	}
	return root
}

// usage makes a usageError of what a check of the arguments finds.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return &usageError{err, c.CommandPath()}
		}
		return nil
	}
}

// configFlag adds --config to a command that reads the configuration.
func (a *app) configFlag(c *cobra.Command) {
	c.Flags().StringArrayVarP(&a.config, "config", "f", nil, "configuration file; with several, later ones override (default mrelease.yaml)")
}

// configFiles returns the files to read: those asked for, else mrelease.yaml if
// it is there.
func (a *app) configFiles() []string {
	if len(a.config) > 0 {
		return a.config
	}
	if _, err := os.Stat("mrelease.yaml"); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return []string{"mrelease.yaml"}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
