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
	measured, err := alternate(20, func() (cost, error) {
		_, c, err := timed(exec.CommandContext(ctx, b.path("bin/mrelease"), "version"))
		return c, err
	})
	if err != nil {
		return nil, err
	}
	version := row{Name: "mrelease version", Unit: "s", Ours: times(measured[0])}
	size := row{Name: "stripped binary", Unit: "MB", Ours: values(megabytes(info.Size()))}
	return []row{size.atMost(50), version.atMost(0.03)}, nil
}
