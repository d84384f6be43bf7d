package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// releases compares whole releases: from nothing, and of a changed source where
// a daemon is up and the base image is there, in the builder and, from an earlier
// release, in the repository.
func releases(ctx context.Context, b *bench) (rows []row, err error) {
	s, err := b.newScript(ctx)
	if err != nil {
		return nil, err
	}
	cold, err := b.coldReleases(ctx, s)
	if err != nil {
		return nil, err
	}
	warm, err := b.warmReleases(ctx, s)
	return []row{cold, warm.faster(8)}, err
}

func (b *bench) coldReleases(ctx context.Context, s *script) (row, error) {
	var ours, theirs []cost
	for range b.runs {
		state := filepath.Join(b.dir, "cold")
		o, err := b.release(ctx, s, place{state, fmt.Sprintf("cold-%d", b.next())})
		if err != nil {
			return row{}, err
		}
		t, err := s.coldRelease(ctx, fmt.Sprintf("cold-%d", b.next()))
		if err != nil {
			return row{}, err
		}
		ours, theirs = append(ours, o), append(theirs, t)
		if err := os.RemoveAll(state); err != nil {
			return row{}, fmt.Errorf("forgetting builds: %w", err)
		}
	}
	r := compare("release, from an empty builder", ours, theirs)
	r.Note = "the others' time includes the start of their daemon"
	return r, nil
}

func (b *bench) warmReleases(ctx context.Context, s *script) (r row, err error) {
	const their = "warm-others"
	our := place{filepath.Join(b.dir, "warm"), "warm"}
	if s.daemon, err = b.startDaemon(ctx, filepath.Join(b.dir, "daemon")); err != nil {
		return row{}, err
	}
	defer func() { err = errors.Join(err, s.daemon.stop()) }()
	if _, err := s.release(ctx, their); err != nil { // brings the base image
		return row{}, err
	}
	if _, err := b.release(ctx, s, our); err != nil {
		return row{}, err
	}
	s.parts = nil
	var ours, theirs []cost
	for range b.runs {
		o, err := b.release(ctx, s, our)
		if err != nil {
			return row{}, err
		}
		t, err := s.daemon.during(func() (cost, error) { return s.release(ctx, their) })
		if err != nil {
			return row{}, err
		}
		ours, theirs = append(ours, o), append(theirs, t)
	}
	r = compare("release, base image there", ours, theirs)
	r.Parts = s.summary()
	r.Note = "the repository has an earlier release; JSON enclave, tag 0x3, chain 134 of the sandbox (no fees), one wallet file of iExec's command line 8.24.0 for both; the others' daemon is up, mrelease starts its own builder"
	return r, nil
}

// place is where mrelease releases.
type place struct{ state, repository string }

// release releases a new project with mrelease.
func (b *bench) release(ctx context.Context, s *script, to place) (c cost, err error) {
	p, err := b.newProject()
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	cmd, err := b.mrelease(ctx, p, to.state, s.settings(p, to.repository), "release", "--version", p.version)
	if err != nil {
		return c, err
	}
	cmd.Env = append(os.Environ(), "MRELEASE_WALLET_PASSWORD="+walletPassword)
	_, c, err = timed(cmd)
	return c, err
}

// settings are those of a project that mrelease releases as the script does.
func (s *script) settings(p project, repository string) string {
	return fmt.Sprintf(`image: %s/%s
name: %s
chain: sandbox-v5
enclave: {format: json, framework: SCONE, version: v5.9, entrypoint: "python3 /app/app.py", heap: 1G}
order: {tag: "tee,scone"}
wallet: {keystore: %q}
`, os.Getenv("SANDBOX_REGISTRY"), repository, p.name, s.wallet)
}

// coldRelease starts a daemon that has nothing.
func (s *script) coldRelease(ctx context.Context, repository string) (c cost, err error) {
	root := filepath.Join(s.b.dir, "cold-daemon")
	start := time.Now()
	if s.daemon, err = s.b.startDaemon(ctx, root); err != nil {
		return c, err
	}
	started := cost{Wall: time.Since(start)}
	if c, err = s.release(ctx, repository); err == nil {
		var used cost
		used, err = s.daemon.used()
		c = c.and(started).and(used)
	}
	return c, errors.Join(err, s.daemon.stop(), os.RemoveAll(root))
}
