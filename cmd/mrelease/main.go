// Command mrelease builds a container image that runs in an SGX enclave,
// measures the enclave, pushes and signs the image, registers it as an app on
// iExec's contracts and offers it on iExec's market.
package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/cmd/approvals"
	"github.com/mrelease/mrelease/cmd/orders"
	"github.com/mrelease/mrelease/cmd/requests"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/live"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/preflight"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/silence"
	"github.com/mrelease/mrelease/source"
)

func main() {
	silence.Libraries()
	if buildkit.IsChild(os.Args) {
		os.Exit(buildkit.Serve())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // whoever reads the story may go; a write of the answer fails
	stdout, stderr := silence.Streams()
	code := run(ctx, os.Args[1:], os.Getenv, stdout, stderr)
	stop()
	os.Exit(code)
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	a := newApp(getenv, stdout, stderr)
	defer a.flush()
	root := a.command()
	root.SetArgs(args)
	command, err := root, usage.Misnamed(root, args)
	if err == nil {
		command, err = root.ExecuteContextC(ctx)
	}
	err = cmp.Or(err, a.report(command.Name()))
	a.flush()
	if failed := a.stdout.Err(); failed != nil && (err == nil || strings.Contains(err.Error(), failed.Error())) {
		err = &stdoutError{failed}
	}
	if err == nil {
		return 0
	}
	a.json = a.json || usage.Is[*usage.Error](err) && slices.Contains(args, "--json") // which was not read yet
	if drift, ok := errors.AsType[*lock.DriftError](err); ok {
		drift.All = a.build.all
	}
	f := explain(err)
	if lines := ci.Setting(getenv, err); lines != "" {
		f.Evidence = append(f.Evidence, fact{"to set it", lines})
	}
	if untold := a.fail(command.CommandPath(), err, f); untold != nil {
		a.story.note("telling the CI system: %v", untold)
	}
	if a.json && !usage.Is[usage.ToldError](err) {
		_ = printJSON(a.stdout, f) // the exit code tells of it, too
	}
	return f.Exit
}

// app is what all commands share.
type app struct {
	getenv func(string) string
	stdout *printable.Writer
	story  story
	page   page.Context

	terminal io.Writer // standard error, for a display that moves the cursor
	painted  bool      // standard output is a terminal with colours

	json   bool
	config []string
	build  buildFlags

	hashLimit uint64   // GiB that measuring a file may hash
	expected  []string // MRENCLAVE or MRSIGNER
	files     int      // that are measured
}

// newApp puts a printable.Writer before each of the streams.
func newApp(getenv func(string) string, stdout, stderr io.Writer) *app {
	colors := getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	a := &app{getenv: getenv, stdout: printable.NewWriter(stdout), painted: isTerminal(stdout) && colors, terminal: stderr}
	if isTerminal(stderr) && getenv("TERM") != "dumb" {
		a.story.live = &live.Display{Terminal: stderr, Now: time.Now}
		stderr = a.story.live
	}
	a.story.w, a.story.color = printable.NewWriter(stderr), isTerminal(a.terminal) && colors
	a.story.mu = new(sync.Mutex)
	a.story.ci, a.story.steps, a.page.Run = ci.New(getenv, a.story.w), new([]page.Step), ci.ReadRun(getenv)
	return a
}

// flush shows a last line that was not ended.
func (a *app) flush() { _ = errors.Join(a.stdout.Flush(), a.story.w.Flush()) }

// stdoutError says that standard output did not take the answer.
type stdoutError struct{ error }

func (e *stdoutError) Error() string { return "standard output does not take the answer" }
func (e *stdoutError) Unwrap() error { return e.error }

// Evidence returns why.
func (e *stdoutError) Evidence() [][2]string { return [][2]string{{"problem", e.error.Error()}} }

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "mrelease",
		Short: "Release SGX enclaves like ordinary software",
		Long: `mrelease builds a container image that runs in an SGX enclave, measures the
enclave, pushes and signs the image, registers it as an app on iExec's contracts
and offers it on iExec's market. Running a release again finishes or confirms it.`,
		SilenceUsage:  true,
		SilenceErrors: true,

		SuggestionsMinimumDistance: 2,
	}
	version := root.Flags().BoolP("version", "v", false, "print the version")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print the answer, or the error, as one JSON document")
	root.SetFlagErrorFunc(usage.FlagError)
	shared := a.shared()
	for _, c := range append(orders.Commands(shared, a.registry), a.initCommand(), a.checkCommand(), a.doctorCommand(), a.planCommand(), approvals.Command(a.makeFlags, a.apply), a.releaseCommand(), a.buildCommand(), a.measureCommand(), a.reproduceCommand(), a.acceptCommand(), a.explainCommand(), a.verifyCommand(), requests.Command(shared), a.ciCommand(), a.versionCommand()) {
		c.Args = usage.Args(c.Args)
		usage.Complete(c, func() settings.Settings { return settings.Read(a.sources()).Settings }, func(ctx context.Context, cfg settings.Settings) []string {
			return a.sourceOptions(source.Options{Settings: cfg}).Versions(ctx)
		})
		root.AddCommand(c)
	}
	root.RunE = func(c *cobra.Command, args []string) error {
		if *version && len(args) == 0 {
			return a.printVersion()
		}
		return usage.Group(c, args)
	}
	root.SetOut(a.stdout)
	root.SetErr(a.story.w)
	root.InitDefaultCompletionCmd() // which keeps where it prints to
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.RunE, completion.Args = usage.Group, cobra.ArbitraryArgs
	}
	root.Args = cobra.ArbitraryArgs
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		for _, misspelt := range settings.Misspelt(os.Environ()) {
			a.story.note("%s", misspelt)
		}
		if err := cmp.Or(usage.Check(c), a.checkBuilder(c)); err != nil || c.Flags().Lookup("config") == nil { // which asks no registry
			return err
		}
		return preflight.CheckCredentials(a.getenv)
	}
	root.SetHelpCommand(usage.Help())
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		if !a.json {
			help(c, args)
			return
		}
		_ = printJSON(a.stdout, map[string]string{"schema": "mrelease.help/v1", "command": c.CommandPath(), "help": cmp.Or(c.Long, c.Short) + "\n\n" + c.UsageString()}) // what fails, stdout keeps
	})
	return root
}

// shared is what all commands of other packages have of the program.
func (a *app) shared() usage.Program {
	return usage.Program{Getenv: a.getenv, Out: a.stdout, JSON: &a.json, PrintJSON: printJSON, Note: a.story.note, Mask: a.story.ci.Mask, Token: ci.Tokens(a.getenv), ConfigFlag: a.configFlag, Files: a.configFiles, OnlyFlag: a.onlyFlag, Only: func() []string { return a.build.only }, CheckRun: a.page.Run.Check}
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
	if _, err := os.Stat(settings.File); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return []string{settings.File}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
