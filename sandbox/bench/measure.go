package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// measures times the measurement of an image that the builder has run before.
func measures(ctx context.Context, b *bench) (rows []row, err error) {
	p, err := b.newProject()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	state := filepath.Join(b.dir, "measure")
	run := func(args ...string) (cost, error) {
		cmd, err := b.mrelease(ctx, p, state, "", args...)
		if err != nil {
			return cost{}, err
		}
		_, c, err := timed(cmd)
		return c, err
	}
	if _, err := run("build"); err != nil {
		return nil, err
	}
	measured, err := alternate(2*b.runs, func() (cost, error) { return run("measure", filepath.Join("dist", "image")) })
	if err != nil {
		return nil, err
	}
	r := row{Name: "measure, warm image", Unit: "s", Ours: times(measured[0])}
	r.Note = "the whole command: it starts the embedded builder, runs the image, and stops"
	return []row{r.atMost(0.4)}, nil
}

// reproductions compares mrelease reproduce with what it cannot do without: two
// builds, each from nothing.
func reproductions(ctx context.Context, b *bench) ([]row, error) {
	ours := func() (c cost, err error) {
		p, err := b.newProject()
		if err != nil {
			return c, err
		}
		defer func() { err = errors.Join(err, p.remove()) }()
		cmd, err := b.mrelease(ctx, p, filepath.Join(b.dir, "reproduce"), "", "reproduce", "--version", "1.0.0")
		if err != nil {
			return c, err
		}
		_, c, err = timed(cmd)
		return c, err
	}
	raw := func() (total cost, err error) {
		for range 2 {
			c, err := b.coldBuild(ctx)
			if err != nil {
				return total, err
			}
			total = total.and(c)
		}
		return total, nil
	}
	measured, err := alternate(b.runs, ours, raw)
	if err != nil {
		return nil, err
	}
	r := compare("reproduce, against two raw builds", measured[0], measured[1])
	r.Note = "each build from nothing; the others' time includes the start of their daemons"
	return []row{r.atMostTimes(1.2)}, nil
}

// enclaves measures how fast and in how much memory a signed enclave is hashed,
// with the Go benchmarks of the package that does it.
func enclaves(ctx context.Context, b *bench) ([]row, error) {
	program := filepath.Join(b.dir, "enclave.test")
	compile := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "./measure/sgx/enclave")
	compile.Dir = b.root
	if _, _, err := timed(compile); err != nil {
		return nil, err
	}
	bench := func(name string) ([]byte, cost, error) {
		run := exec.CommandContext(ctx, program, "-test.run", "^$", "-test.bench", "^"+name+"$", "-test.benchtime", fmt.Sprint(4*b.runs, "x"))
		run.Dir = b.path("measure/sgx/enclave") // where its test data is
		return timed(run)
	}
	out, _, err := bench("BenchmarkShareOfSHA256")
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, kind := range []string{"heap", "content"} {
		share, err := metric(string(out), kind+"-%")
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{Name: "native MRENCLAVE, share of SHA-256's rate, " + kind, Unit: "%", Ours: values(share)}.atLeast(85))
	}
	_, c, err := bench("BenchmarkIntelHeap4GB")
	if err != nil {
		return nil, err
	}
	return append(rows, row{Name: "peak memory, enclave with 4 GB of heap", Unit: "MB", Ours: values(megabytes(c.Peak))}.atMost(64)), nil
}

// metric finds a figure in what a Go benchmark printed: the number stands before
// its unit.
func metric(out, unit string) (float64, error) {
	fields := strings.Fields(out)
	for i, field := range fields {
		if field == unit && i > 0 {
			return strconv.ParseFloat(fields[i-1], 64)
		}
	}
	return 0, fmt.Errorf("reading benchmark: no %s in:\n%s", unit, out)
}
