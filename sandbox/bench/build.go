package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// builds compares mrelease build with buildctl: the same daemon that is up, the
// same options, a changed source each time.
func builds(ctx context.Context, b *bench) (rows []row, err error) {
	d, err := b.startDaemon(ctx, filepath.Join(b.dir, "build-daemon"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	state := filepath.Join(b.dir, "build-state")
	raw := func() (cost, error) { return d.during(func() (cost, error) { return b.rawBuild(ctx, d) }) }
	ours := func() (cost, error) {
		return d.during(func() (cost, error) { return b.ourBuild(ctx, state, "--builder", d.address) })
	}
	embedded := func() (cost, error) { return b.ourBuild(ctx, state, "--builder", "embedded") }

	measured, err := alternate(2*b.runs, raw, ours, embedded)
	if err != nil {
		return nil, err
	}
	return []row{
		compare("build, in the daemon", measured[1], measured[0]).atMostTimes(1.5),
		compare("build, embedded", measured[2], measured[0]).atMostTimes(1.5),
	}, nil
}

// alternate runs pieces of work in turns, so that the load of the machine is the
// same for all. The first turn warms caches and does not count.
func alternate(runs int, works ...func() (cost, error)) ([][]cost, error) {
	all := make([][]cost, len(works))
	for turn := range runs + 1 {
		for i, work := range works {
			c, err := work()
			if err != nil {
				return nil, err
			}
			if turn > 0 {
				all[i] = append(all[i], c)
			}
		}
	}
	return all, nil
}

func (b *bench) rawBuild(ctx context.Context, d *daemon) (cost, error) {
	return b.buildProject(func(p project) (*exec.Cmd, error) {
		output := "type=oci,tar=false,rewrite-timestamp=true,dest=" + filepath.Join(p.dir, "image")
		return b.buildctl(ctx, d.address, p.dir, output, "--opt", "attest:provenance=mode=min,version=v1")
	})
}

// coldBuild builds in a daemon that has nothing yet.
func (b *bench) coldBuild(ctx context.Context) (c cost, err error) {
	root := filepath.Join(b.dir, "cold-build")
	start := time.Now()
	d, err := b.startDaemon(ctx, root)
	if err != nil {
		return c, err
	}
	started := cost{Wall: time.Since(start)}
	c, err = b.rawBuild(ctx, d)
	used, usedErr := d.used()
	return c.and(started).and(used), errors.Join(err, usedErr, d.stop(), os.RemoveAll(root))
}

func (b *bench) ourBuild(ctx context.Context, state string, args ...string) (cost, error) {
	return b.buildProject(func(p project) (*exec.Cmd, error) {
		return b.mrelease(ctx, p, state, "", append([]string{"build"}, args...)...)
	})
}

func (b *bench) buildProject(command func(project) (*exec.Cmd, error)) (c cost, err error) {
	p, err := b.newProject()
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	cmd, err := command(p)
	if err != nil {
		return c, err
	}
	_, c, err = timed(cmd)
	return c, err
}
