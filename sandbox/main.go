// The sandbox runs a world for tests and demos on this machine: a registry, two
// chains with iExec's contracts, a market, a secret service, workerpools. It either runs a
// command inside, and ends with it, or stays up until it is interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/sandbox/market"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/registry"
	"github.com/mrelease/mrelease/sandbox/worker"
	"github.com/mrelease/mrelease/sandbox/world"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(exitCode(err, os.Stderr))
}

// exitCode is that of the command which ran inside.
func exitCode(err error, stderr io.Writer) int {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok {
			return 128 + int(status.Signal())
		}
	}
	fmt.Fprintln(stderr, "sandbox:", err)
	return 1
}

type options struct {
	base, dir, contracts string
	habits               []registry.Habit
	limit                market.Limit
	format               worker.Format
	command              []string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is printed once, by main
	flags.StringVar(&o.base, "base", "", "OCI layout of the stand-in base image, as baseimage makes it")
	flags.StringVar(&o.dir, "dir", "", "folder to write mrelease.yaml, keys and env to (default a temporary one, removed at the end)")
	flags.StringVar(&o.contracts, "contracts", "", "folder of npm packages with the compiled contracts (default sandbox/node_modules)")
	flags.Func("registry", "habits of the registry, joined by commas: "+strings.Join(registry.HabitNames(), ", "), func(names string) (err error) {
		o.habits, err = registry.Habits(names)
		return err
	})
	flags.Func("market-limit", "how many requests of an address the market answers in a window, such as 100/1m (default no limit)", func(text string) (err error) {
		o.limit, err = market.ParseLimit(text)
		return err
	})
	flags.Func("results", fmt.Sprintf("format in which results are encrypted, one of %v (default %s)", worker.Formats(), worker.CBC), func(text string) (err error) {
		o.format, err = worker.ParseFormat(text)
		return err
	})
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stderr, "usage: sandbox [flags] [-- command args...]")
		flags.SetOutput(stderr)
		flags.PrintDefaults()
	}
	o.command = flags.Args()
	return o, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	started := time.Now()
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	say := func(what string) { fmt.Fprintf(stderr, "sandbox %5.2f s  %s\n", time.Since(started).Seconds(), what) }
	contracts, err := findContracts(o.contracts)
	if err != nil {
		return err
	}
	dir, tidy, err := folder(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tidy()) }()
	pool := &world.Pool{Format: o.format, Ended: func(id common.Hash, result error) { say(ending(id, result)) }}
	w, err := world.Start(ctx, world.Options{Contracts: contracts, Base: o.base, Registry: registry.Options{Habits: o.habits}, Market: o.limit, Pool: pool, Progress: say})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := w.Write(dir); err != nil {
		return err
	}
	if o.base == "" {
		say("no base image: examples cannot be built (make one: baseimage --out build/base; then --base build/base)")
	}
	say("up, in " + dir)
	if len(o.command) > 0 {
		environment, err := w.Environment(dir)
		if err != nil {
			return err
		}
		return inside(ctx, o.command, environment)
	}
	return stay(ctx, dir, stdout)
}

// ending says how a task ended, in one line.
func ending(id common.Hash, result error) string {
	if result == nil {
		return fmt.Sprintf("task %s completed", id)
	}
	return fmt.Sprintf("task %s has no result: %s", id, strconv.Quote(result.Error()))
}

// folder returns where the world's files are written, and what removes those
// that do not outlive it. The file env says that a world is up: one that an
// earlier world left would be a lie.
func folder(dir string) (string, func() error, error) {
	if dir == "" {
		temporary, err := os.MkdirTemp("", "sandbox")
		return temporary, func() error { return os.RemoveAll(temporary) }, err
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, fmt.Errorf("finding folder: %w", err)
	}
	forget := func() error {
		if err := os.Remove(filepath.Join(path, "env")); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing what an earlier sandbox left: %w", err)
		}
		return nil
	}
	return path, forget, forget()
}

// findContracts looks beside the working directory and the program.
func findContracts(given string) (protocol.Artifacts, error) {
	candidates := []string{given}
	if given == "" {
		candidates = []string{"sandbox/node_modules", "node_modules"}
		if program, err := os.Executable(); err == nil {
			candidates = append(candidates, filepath.Join(filepath.Dir(program), "..", "sandbox", "node_modules"))
		}
	}
	for _, c := range candidates {
		if _, err := os.Stat(filepath.Join(c, "@iexec", "poco")); err == nil {
			return protocol.Artifacts(c), nil
		}
	}
	return "", fmt.Errorf("looking for the contracts in %q: not there; install them with: cd sandbox && npm ci", candidates)
}

// inside runs a command that can use the world. When the sandbox is told to
// stop, so is the command.
func inside(ctx context.Context, command, environment []string) error {
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Env = append(os.Environ(), environment...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 10 * time.Second
	if err := c.Run(); err != nil {
		return fmt.Errorf("running %s: %w", command[0], err)
	}
	return nil
}

// stay prints the configuration and waits to be stopped.
func stay(ctx context.Context, dir string, stdout io.Writer) error {
	config, err := os.ReadFile(filepath.Join(dir, "mrelease.yaml"))
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	if _, err := stdout.Write(config); err != nil {
		return fmt.Errorf("printing configuration: %w", err)
	}
	<-ctx.Done()
	return nil
}
