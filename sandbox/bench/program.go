package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// program measures the binary itself.
func program(ctx context.Context, b *bench) ([]row, error) {
	info, err := os.Stat(b.path("bin/mrelease"))
	if err != nil {
		return nil, fmt.Errorf("measuring program: %w", err)
	}
	start := func(program string) func() (cost, error) {
		return func() (cost, error) {
			_, c, err := timed(exec.CommandContext(ctx, b.path(program), "version"))
			return c, err
		}
	}
	measured, err := alternate(20, start("bin/mrelease"), start("bin/cosign"))
	if err != nil {
		return nil, err
	}
	version := compare("mrelease version, against cosign version", measured[0], measured[1])
	size := row{Name: "stripped binary", Unit: "MB", Ours: values(megabytes(info.Size()))}
	return []row{size.atMost(60), version.atMost(0.03)}, nil
}
