package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// memory releases images with a small and a large layer that cannot be
// compressed, and compares mrelease's peak.
func memory(ctx context.Context, b *bench) ([]row, error) {
	s, err := b.newScript(ctx)
	if err != nil {
		return nil, err
	}
	const small = 1 << 20
	large := int64(1 << 30)
	if b.short {
		large = 256 << 20
	}
	var peaks [2]float64
	var last cost
	for i, size := range []int64{small, large} {
		if last, err = b.largeRelease(ctx, s, size); err != nil {
			return nil, err
		}
		peaks[i] = megabytes(last.Peak)
	}
	name := fmt.Sprintf("a layer of %d MB", large>>20)
	peak := row{Name: "peak memory, release with " + name, Unit: "MB", Ours: values(peaks[1])}
	growth := row{Name: "growth of it from 1 MB to " + name, Unit: "MB", Ours: values(max(0, peaks[1]-peaks[0]))}
	peak.Note = fmt.Sprintf("that release took %.1f s, %.1f s of CPU; opening the wallet file alone takes 134 MB", last.Wall.Seconds(), last.CPU.Seconds())
	return []row{peak.atMost(200), growth.atMost(10)}, nil
}

func (b *bench) largeRelease(ctx context.Context, s *script, size int64) (c cost, err error) {
	p, err := b.newProject()
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	if err := writeRandom(filepath.Join(p.dir, "data"), size); err != nil {
		return c, err
	}
	if err := p.touch("Dockerfile", "COPY data /data\n"); err != nil {
		return c, err
	}
	cmd, err := b.mrelease(ctx, p, filepath.Join(b.dir, "memory"), s.settings(p, p.name), "release", "--version", p.version)
	if err != nil {
		return c, err
	}
	cmd.Env = append(os.Environ(), "MRELEASE_WALLET_PASSWORD="+walletPassword)
	_, c, err = timed(cmd)
	return c, err
}

func writeRandom(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("making data: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(w, rand.Reader, size); err != nil {
		return fmt.Errorf("making data: %w", err)
	}
	return w.Flush()
}
