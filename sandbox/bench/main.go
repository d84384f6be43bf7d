// The benchmark releases and builds an example with mrelease and with the
// programs that people use today, side by side in one world, and compares. It
// prints a table and writes dist/bench.json and, of what grows, dist/bench.svg.
// "make bench" runs it, inside the sandbox.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// section measures one thing. Another figure is another line here.
type section struct {
	name    string
	measure func(ctx context.Context, b *bench) ([]row, error)
	long    bool // not in the short form
}

func sections() []section {
	return []section{
		{name: "program", measure: program},
		// Early: a process that is measured begins with the peak of this one, which grows.
		{name: "decrypt", measure: decryptions},
		{name: "build", measure: builds},
		{name: "measure", measure: measures},
		{name: "rootless", measure: rootless, long: true},
		{name: "reproduce", measure: reproductions},
		{name: "enclave", measure: enclaves},
		{name: "again", measure: noChange},
		{name: "action", measure: pullRequests},
		{name: "memory", measure: memory},
		{name: "release", measure: releases},
		{name: "container", measure: containers, long: true},
		{name: "large", measure: large, long: true},
		{name: "pull", measure: pulls, long: true},
		{name: "rotation", measure: rotations, long: true},
		{name: "apps", measure: apps, long: true},
		{name: "pool", measure: pools, long: true},
		{name: "owner", measure: owners, long: true},
		{name: "request", measure: requests, long: true},
		{name: "growth", measure: growth, long: true},
	}
}

type options struct {
	short  bool
	strict bool
	runs   int
	scale  float64
	out    string
	only   *regexp.Regexp
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&o.short, "short", os.Getenv("BENCH_SHORT") != "", "fewer runs and a smaller image (default: whether BENCH_SHORT is set)")
	flags.BoolVar(&o.strict, "strict", os.Getenv("BENCH_STRICT") != "", "fail when a time is above its target, too (default: whether BENCH_STRICT is set)")
	flags.IntVar(&o.runs, "runs", 0, "how often most is measured (default 5, and 2 in the short form)")
	flags.Float64Var(&o.scale, "scale", 1, "sizes of the section large, as a share of what its targets are for")
	flags.StringVar(&o.out, "out", "dist/bench.json", "file that the figures are written to")
	only := flags.String("only", os.Getenv("BENCH_ONLY"), "regular expression: the sections to measure (default: $BENCH_ONLY)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("parsing -only: %w", err)
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	b, err := newBench(o, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	r := newReport(o.short, b.runs)
	for _, s := range sections() {
		if !o.only.MatchString(s.name) {
			continue
		}
		if s.long && o.short {
			fmt.Fprintf(stderr, "bench: %s is not measured in the short form\n", s.name)
			continue
		}
		start := time.Now()
		rows, err := s.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", s.name, err)
		}
		fmt.Fprintf(stderr, "bench: %s measured in %.0f s\n", s.name, time.Since(start).Seconds())
		r.Rows = append(r.Rows, rows...)
	}
	if err := errors.Join(r.writeFile(o.out), r.draw(strings.TrimSuffix(o.out, filepath.Ext(o.out))+".svg"), r.print(stdout)); err != nil {
		return err
	}
	return r.verdict(o.strict)
}

// bench is what the measurements share.
type bench struct {
	root   string // of the repository
	dir    string // for all that is written
	runs   int
	short  bool
	scale  float64
	stderr io.Writer
	number int // of the last project that was made
}

// newBench finds the world that it runs in, and the programs.
func newBench(o options, stderr io.Writer) (*bench, error) {
	if os.Getenv("MRELEASE_SANDBOX") == "" {
		return nil, errors.New("it runs inside the sandbox: make bench")
	}
	root, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("finding the repository: %w", err)
	}
	b := &bench{root: root, runs: 5, short: o.short, scale: o.scale, stderr: stderr}
	if b.short {
		b.runs = 2
	}
	b.runs = cmp.Or(o.runs, b.runs)
	for _, file := range []string{"bin/mrelease", "bin/buildctl", "bin/buildkitd", "bin/cosign", "build/base/index.json", modules} {
		if _, err := os.Stat(b.path(file)); err != nil {
			return nil, fmt.Errorf("%w; make it with: make bench", err)
		}
	}
	b.dir, err = os.MkdirTemp("", "bench-*")
	return b, err
}

// modules is where npm puts iExec's command line.
const modules = "sandbox/clients/node_modules"

// path is that of a file in the repository.
func (b *bench) path(file string) string { return filepath.Join(b.root, file) }

// next returns a number that no earlier project has.
func (b *bench) next() int {
	b.number++
	return b.number
}
